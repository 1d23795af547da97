// Puts sliders and a live figure in the place of each still picture; without plotly.js beside this file it stays.
(() => {
  const beside = new URL("plotly.min.js", document.currentScript.src);
  window.workbenchPlotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src: beside, onload: done, onerror: failed });
    document.head.append(script);
  });

  function start(box) {
    box.dataset.live = "yes";
    const { sliders, figures } = JSON.parse(box.querySelector("script").textContent);
    const [words, figure] = [document.createElement("div"), document.createElement("div")];
    words.setAttribute("role", "status");
    const inputs = sliders.map(({ name, values, at }) => {
      const [label, input, value] = ["label", "input", "output"].map((tag) => document.createElement(tag));
      Object.assign(input, { type: "range", min: 0, max: values.length - 1, value: at });
      input.style.width = "min(420px, 60%)";
      const show = () => {
        value.textContent = values[input.value];
        input.setAttribute("aria-valuetext", values[input.value]);
      };
      input.addEventListener("input", () => { show(); draw(); });
      show();
      label.style.cssText = "display: flex; gap: 12px; align-items: center";
      label.append(name, input, value);
      return label;
    });
    function draw() {
      const places = inputs.map((label) => Number(label.querySelector("input").value));
      const at = places.reduce((sum, place, i) => sum * sliders[i].values.length + place, 0);
      const { data, layout, words: html } = figures[at];
      words.innerHTML = html; // written by the package
      Plotly.react(figure, data, layout, { displaylogo: false, responsive: true, displayModeBar: false });
    }
    box.querySelector("img").replaceWith(...inputs, words, figure);
    draw();
  }

  const all = () => document.querySelectorAll(".wb-live:not([data-live])").forEach(start);
  window.workbenchPlotly.then(all, () => {});
})();
