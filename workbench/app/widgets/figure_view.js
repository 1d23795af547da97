// Show the whole figure of `traces` (data) and `around` (layout) after each change, so that no update can be lost; a
// burst of changes is drawn once. A dark page replaces colours by those in `dark`; saved pictures are always on white.
const HIDDEN_DELAY_MS = 200; // before a figure out of sight is drawn

// Return the page's plotly.js, or else the kernel's.
async function loadPlotly(model) {
  await window.workbenchPlotly;
  if (!window.Plotly) model.send({ kind: "library" });
  while (!window.Plotly) await new Promise((done) => setTimeout(done, 20));
  return window.Plotly;
}

const isDark = () => document.body.dataset.jpThemeLight === "false";
const withoutTags = (html) => String(html ?? "").replace(/<br>/g, "; ").replace(/<[^>]*>/g, "");

// Return the traces that show values, without lines between points and labels of bars.
function valueTraces(box) {
  const named = (trace) => box.data[trace.index].name || trace.hoverinfo !== "skip";
  return (box._fullData || []).filter((t) => t.visible === true && named(t) && t.mode !== "text" && t.x?.some((x) => x != null));
}

// Return the name of the figure's region that a point lies in, or "".
function regionName(box, trace, x) {
  const contains = (s) => s.name && s.xref === trace.xaxis && s.x0 < x && x < s.x1;
  return box._fullLayout.shapes?.find(contains)?.name ?? "";
}

// Return the points as CSV, in the order of the traces; low and high are the ends of a point's interval, if any.
function csvTable(box) {
  const rows = [["series", "x", "y", "low", "high", "about"]];
  for (const trace of valueTraces(box)) {
    const { array = [], arrayminus = [], visible } = trace.error_y || {};
    for (let i = 0; i < trace.x.length; i++) {
      const [x, y] = [trace.x[i], trace.y[i]];
      if (x == null || y == null) continue;
      const interval = visible && array[i] !== undefined ? [y - (arrayminus[i] ?? array[i]), y + array[i]] : ["", ""];
      const name = box.data[trace.index].name || "";
      const about = trace.customdata ? trace.customdata[i] : regionName(box, trace, x);
      rows.push([name, x, y, ...interval, about]);
    }
  }
  return csvText(rows.map((row) => row.map((value) => (typeof value === "number" ? value : withoutTags(value)))));
}

async function render({ model, el }) {
  const label = model.get("label");
  const box = element("div", { className: "wb-figure" }, { role: "figure", "aria-label": label }); // it contains buttons
  box.style.minHeight = `${JSON.parse(model.get("around")).height || 300}px`;
  const tools = element("div", { className: "wb-save" }, { role: "group", "aria-label": `Save ${label}` }, "Save as");
  const message = element("p", { hidden: true }); // replaces an empty figure
  el.classList.add("wb-figure-box");
  el.append(box, message, tools);
  const plotly = await loadPlotly(model);
  const isTouch = matchMedia("(pointer: coarse)").matches;
  const settings = {
    displaylogo: false,
    // Without plotly's buttons to save (see `savers`) or to send the figure to another machine.
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    ...(isTouch && { displayModeBar: false }),
  };
  const fileName = label.toLowerCase().replace(/[^a-z0-9-]+/g, "_");

  function parsed(name, dark = false) {
    const colors = dark ? model.get("dark") : {};
    return JSON.parse(model.get(name), (_, value) => (typeof value === "string" && colors[value]) || value);
  }

  // Return the same arrays while nothing in them changes: plotly redraws what is not identical.
  const cache = {};
  function data(dark) {
    const key = dark + model.get("traces");
    if (cache.key !== key) Object.assign(cache, { key, data: parsed("traces", dark) });
    return cache.data;
  }

  async function picture(format) {
    const [data, layout] = [parsed("traces"), parsed("around")];
    layout.paper_bgcolor = layout.plot_bgcolor = "white";
    const size = { width: Math.max(480, box.clientWidth), height: layout.height || box.clientHeight };
    const url = await plotly.toImage({ data, layout }, { format, ...size, scale: format === "png" ? 2 : 1 });
    saveFile(await (await fetch(url)).blob(), `${fileName}.${format}`);
  }

  const savers = {
    PNG: () => picture("png"),
    SVG: () => picture("svg"),
    CSV: () => saveFile(new Blob([csvTable(box)], { type: "text/csv" }), `${fileName}.csv`),
  };
  tools.append(...Object.entries(savers).map(([kind, act]) => {
    const title = `Save ${label} as ${kind}${kind === "CSV" ? ": its numbers" : ""}`;
    return saveButton(kind, title, () => Promise.resolve(act()).catch(console.error));
  }));

  // A click on a point with an id picks it.
  function pick({ points }) {
    const point = points.find((p) => p.data.ids);
    if (!point) return;
    model.set("picked", String(point.data.ids[point.pointIndex]));
    model.save_changes();
  }

  let drawing = Promise.resolve();
  const enqueue = (act) => (drawing = drawing.then(act).catch(console.error));
  let frame = 0; // requested for drawing
  let timer = 0;
  let isVisible = true;

  async function react() {
    const background = parsed("around").paper_bgcolor;
    const dark = isDark() && background === "rgba(0,0,0,0)"; // one with another background is always light
    const layout = parsed("around", dark);
    if (isTouch) layout.dragmode = false; // a finger scrolls the page
    box.style.minHeight = `${layout.height || 300}px`;
    const isFirst = !box.on;
    await plotly.react(box, data(dark), layout, settings);
    if (isFirst) box.on("plotly_click", pick);
    const hasSeries = valueTraces(box).length > 0; // images have no numbers for a CSV file
    const isEmpty = !hasSeries && !box.data.some((trace) => trace.z);
    box.classList.toggle("wb-nothing", isEmpty);
    tools.hidden = isEmpty;
    tools.lastChild.hidden = !hasSeries;
    message.hidden = !isEmpty;
    message.textContent = isEmpty ? withoutTags(layout.annotations?.[0]?.text) : "";
  }

  function paint() {
    clearTimeout(timer);
    timer = 0;
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      enqueue(react);
    });
  }
  function draw() {
    if (isVisible) paint();
    else timer ||= setTimeout(paint, HIDDEN_DELAY_MS);
  }
  draw();
  model.on("change:traces change:around", draw);
  const resize = new ResizeObserver(() => {
    if (!box.isConnected || !box.clientWidth || !box._fullLayout) return;
    // Draw twice: at first the legend has the room of the old width.
    plotly.Plots.resize(box).then(() => enqueue(() => plotly.redraw(box)), console.error);
  });
  resize.observe(el);
  const visibility = new IntersectionObserver((entries) => {
    isVisible = entries.at(-1).isIntersecting;
    if (isVisible && timer) paint();
  });
  visibility.observe(box);
  const theme = new MutationObserver(draw);
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  return () => {
    clearTimeout(timer);
    visibility.disconnect();
    resize.disconnect();
    theme.disconnect();
    plotly.purge(box);
  };
}
export default { render };
