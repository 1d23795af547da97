// The network as a drawing: click a block to pick its layer, or move between blocks by the arrow keys and press Enter.
let drawings = 0;

function render({ model, el }) {
  const number = ++drawings; // ids of blocks are those of one page
  const [MIN_ZOOM, MAX_ZOOM, MAX_FIT, STEP] = [0.1, 8, 1.8, 1.25];
  const view = element("div", { className: "wb-graph-view" });
  const legend = element("div", { className: "wb-graph-legend" });
  const fit = saveButton("Fit", "Show the whole network", () => zoomTo(0));
  const tools = element(
    "div", { className: "wb-graph-tools" }, {},
    saveButton("+", "Zoom in", () => zoomTo(zoom() * STEP)), saveButton("−", "Zoom out", () => zoomTo(zoom() / STEP)), fit,
    saveButton("SVG", "Save the drawing as SVG", async () => {
      const { name, svg } = await ask({ kind: "save" });
      saveFile(new Blob([svg], { type: "image/svg+xml" }), name);
    }),
  );
  el.append(element("div", { className: "wb-graph" }, {}, view, tools, legend));
  const ask = talk(model);
  let svg = null;
  let blocks = []; // in the order of their calls
  let at = 0; // the block that the keys are at
  let fitted = true;

  function draw() {
    view.innerHTML = model.get("svg"); // made by Python, names are escaped
    svg = view.querySelector("svg");
    blocks = [];
    if (!svg) return;
    for (const [name, value] of Object.entries({ role: "listbox", tabindex: "0", "aria-label": model.get("label") })) svg.setAttribute(name, value);
    blocks = [...svg.querySelectorAll(".layer")].map((group, i) => {
      group.id = `wb-layer-${number}-${i}`;
      group.setAttribute("role", "option");
      const [planned, original, outline] = ["planned", "original", "outline"].map((name) => group.querySelector(`.${name}`));
      const height = Number(original.getAttribute("height"));
      const bottom = Number(original.getAttribute("y")) + height;
      return { group, planned, outline, height, bottom, title: group.querySelector("title"), name: group.dataset.layer, drawn: "" };
    });
    at = 0;
    fitted = true;
    resize();
    fill();
    select();
  }

  function fill() {
    const fills = model.get("fills");
    for (const block of blocks) {
      const values = fills[block.name];
      if (!values || block.drawn === String(values)) continue;
      block.drawn = String(values);
      const [share, color, words] = values;
      const height = block.height * Math.min(1, share);
      const changes = { height, y: block.bottom - height, fill: color };
      for (const [name, value] of Object.entries(changes)) block.planned.setAttribute(name, value);
      block.outline.setAttribute("stroke-dasharray", share > 1 ? "3 2" : "none");
      block.title.textContent = words;
      block.group.setAttribute("aria-label", words);
    }
  }

  function select() {
    for (const [i, block] of blocks.entries()) {
      const chosen = block.name === model.get("selected");
      block.group.classList.toggle("selected", chosen);
      block.group.setAttribute("aria-selected", String(chosen));
      if (chosen) at = i;
    }
    move(at, false);
  }

  function move(to, show = true) {
    if (!blocks[to]) return;
    blocks[at]?.group.classList.remove("active");
    at = to;
    blocks[at].group.classList.add("active");
    svg.setAttribute("aria-activedescendant", blocks[at].group.id);
    if (!show) return;
    const [outer, inner] = [view, blocks[at].group].map((one) => one.getBoundingClientRect());
    view.scrollLeft += Math.min(0, inner.left - outer.left - 20) + Math.max(0, inner.right - outer.right + 20);
    view.scrollTop += Math.min(0, inner.top - outer.top - 20) + Math.max(0, inner.bottom - outer.bottom + 20);
  }

  function pick(i) {
    move(i);
    model.set("selected", blocks[i].name);
    model.save_changes();
    select();
  }

  // The nearest block above (-1) or below (1).
  function beside(direction) {
    const here = blocks[at].group.getBoundingClientRect();
    const far = (block) => {
      const there = block.group.getBoundingClientRect();
      const y = direction * (there.top + there.bottom - here.top - here.bottom);
      return y > 4 ? y + 2 * Math.abs(there.left + there.right - here.left - here.right) : Infinity;
    };
    const nearest = blocks.reduce((best, block, i) => (far(block) < best[0] ? [far(block), i] : best), [Infinity, at]);
    return nearest[1];
  }

  view.addEventListener("click", (event) => {
    const group = event.target.closest(".layer");
    if (group && !dragged) pick(blocks.findIndex((block) => block.group === group));
  });
  view.addEventListener("keydown", (event) => {
    if (!blocks.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1, ArrowUp: () => beside(-1), ArrowDown: () => beside(1), Home: () => 0, End: () => blocks.length - 1 };
    if (steps[event.key]) move(steps[event.key]());
    else if (event.key === "Enter" || event.key === " ") pick(at);
    else if ("+-0".includes(event.key)) zoomTo(event.key === "0" ? 0 : event.key === "+" ? zoom() * STEP : zoom() / STEP);
    else return;
    event.preventDefault();
  });

  let dragged = false;
  view.addEventListener("pointerdown", (down) => {
    if (down.pointerType !== "mouse" || down.button) return;
    dragged = false;
    const [left, top] = [view.scrollLeft, view.scrollTop];
    const drag = (event) => {
      if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > 4) dragged = true;
      if (dragged) view.scrollTo(left + down.clientX - event.clientX, top + down.clientY - event.clientY);
    };
    window.addEventListener("pointermove", drag);
    window.addEventListener("pointerup", () => window.removeEventListener("pointermove", drag), { once: true });
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    zoomTo(zoom() * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, { passive: false });

  const zoom = () => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;

  // Draw at a scale, 0 for all of it; what is at a place of the screen stays there.
  function zoomTo(scale, x, y) {
    if (!svg) return;
    fitted = !scale;
    view.classList.toggle("zoomed", !fitted);
    const outer = view.getBoundingClientRect();
    const place = [(x ?? outer.left + outer.width / 2) - outer.left, (y ?? outer.top + outer.height / 2) - outer.top];
    const before = zoom();
    if (scale) svg.style.width = `${svg.viewBox.baseVal.width * Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, scale))}px`;
    else resize();
    const ratio = zoom() / before;
    view.scrollLeft = (view.scrollLeft + place[0]) * ratio - place[0];
    view.scrollTop = (view.scrollTop + place[1]) * ratio - place[1];
  }

  function resize() {
    if (!svg || !fitted || !view.clientWidth) return;
    const { width, height } = svg.viewBox.baseVal;
    svg.style.width = `${Math.floor(width * Math.min(MAX_FIT, view.clientWidth / width, view.clientHeight / height))}px`;
  }

  const drawLegend = () => { legend.innerHTML = model.get("legend"); };
  const observer = new ResizeObserver(resize);
  observer.observe(view);
  draw();
  drawLegend();
  model.on("change:svg", draw);
  onItems(model, "fills", fill);
  model.on("change:legend", drawLegend);
  model.on("change:selected", select);
  return () => observer.disconnect();
}
export default { render };
