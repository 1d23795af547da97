// Shows the figure in `spec`, whole, whenever it changes: no update can be lost, and a burst of them is drawn once.
const UNSEEN = 200; // milliseconds that a figure may wait which is out of sight

async function library() {
  while (!window.Plotly) await new Promise((done) => setTimeout(done, 20));
  return window.Plotly;
}

async function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "wb-figure";
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", model.get("label"));
  box.style.minHeight = `${JSON.parse(model.get("spec")).layout.height || 300}px`;
  el.append(box);
  const plotly = await library();
  const settings = {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { filename: model.get("label"), scale: 2 },
  };
  let drawing = Promise.resolve();
  let listening = false;

  // A point that has an id can be picked.
  function listen() {
    if (listening || !box.on) return;
    listening = true;
    box.on("plotly_click", (event) => {
      const point = event.points.find((p) => p.data.ids);
      if (!point) return;
      model.set("picked", String(point.data.ids[point.pointIndex]));
      model.save_changes();
    });
  }
  let waiting = false;
  let timer = 0;
  let seen = true;

  function draw() {
    if (seen) paint();
    else timer ||= setTimeout(paint, UNSEEN);
  }
  function paint() {
    clearTimeout(timer);
    timer = 0;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const figure = JSON.parse(model.get("spec"));
      drawing = drawing.then(() => plotly.react(box, figure.data, figure.layout, settings)).then(listen).catch(console.error);
    });
  }
  draw();
  model.on("change:spec", draw);
  const resize = new ResizeObserver(() => {
    if (box.isConnected && box.clientWidth && box._fullLayout) plotly.Plots.resize(box);
  });
  resize.observe(el);
  const sight = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen && timer) paint();
  });
  sight.observe(box);
  return () => {
    clearTimeout(timer);
    sight.disconnect();
    resize.disconnect();
    plotly.purge(box);
  };
}
export default { render };
