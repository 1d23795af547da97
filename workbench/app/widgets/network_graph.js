// A drawing of the network: a click on a block, or arrow keys and Enter, pick the block's layer.
let drawings = 0;

function render({ model, el }) {
  const number = ++drawings; // makes the ids of blocks unique on the page
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
  const ask = messenger(model);
  let svg = null;
  let blocks = []; // in the order in which the network calls them
  let active = 0; // index of the block that the keys act on
  let isFitted = true;

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
    active = 0;
    isFitted = true;
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
      if (chosen) active = i;
    }
    move(active, false);
  }

  function move(index, show = true) {
    if (!blocks[index]) return;
    blocks[active]?.group.classList.remove("active");
    active = index;
    blocks[active].group.classList.add("active");
    svg.setAttribute("aria-activedescendant", blocks[active].group.id);
    if (!show) return;
    const [outer, inner] = [view, blocks[active].group].map((one) => one.getBoundingClientRect());
    view.scrollLeft += Math.min(0, inner.left - outer.left - 20) + Math.max(0, inner.right - outer.right + 20);
    view.scrollTop += Math.min(0, inner.top - outer.top - 20) + Math.max(0, inner.bottom - outer.bottom + 20);
  }

  function pick(i) {
    move(i);
    model.set("selected", blocks[i].name);
    model.save_changes();
    select();
  }

  // Return the index of the nearest block above (-1) or below (1) the active one.
  function neighbour(direction) {
    const origin = blocks[active].group.getBoundingClientRect();
    const gap = (block) => {
      const box = block.group.getBoundingClientRect();
      const y = direction * (box.top + box.bottom - origin.top - origin.bottom);
      return y > 4 ? y + 2 * Math.abs(box.left + box.right - origin.left - origin.right) : Infinity;
    };
    const nearest = blocks.reduce((best, block, i) => (gap(block) < best[0] ? [gap(block), i] : best), [Infinity, active]);
    return nearest[1];
  }

  view.addEventListener("click", (event) => {
    const group = event.target.closest(".layer");
    if (group && !dragged) pick(blocks.findIndex((block) => block.group === group));
  });
  view.addEventListener("keydown", (event) => {
    if (!blocks.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowRight: () => active + 1, ArrowLeft: () => active - 1, ArrowUp: () => neighbour(-1), ArrowDown: () => neighbour(1), Home: () => 0, End: () => blocks.length - 1 };
    if (steps[event.key]) move(steps[event.key]());
    else if (event.key === "Enter" || event.key === " ") pick(active);
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

  // Draw at a scale, 0 to fit the whole network; the point (x, y) of the screen stays in place.
  function zoomTo(scale, x, y) {
    if (!svg) return;
    isFitted = !scale;
    view.classList.toggle("zoomed", !isFitted);
    const frame = view.getBoundingClientRect();
    const anchor = [(x ?? frame.left + frame.width / 2) - frame.left, (y ?? frame.top + frame.height / 2) - frame.top];
    const oldZoom = zoom();
    if (scale) svg.style.width = `${svg.viewBox.baseVal.width * Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, scale))}px`;
    else resize();
    const ratio = zoom() / oldZoom;
    view.scrollLeft = (view.scrollLeft + anchor[0]) * ratio - anchor[0];
    view.scrollTop = (view.scrollTop + anchor[1]) * ratio - anchor[1];
  }

  function resize() {
    if (!svg || !isFitted || !view.clientWidth) return;
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
