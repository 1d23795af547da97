// Shows the figure in `traces` (its data) and `around` (its layout), whole, whenever it changes: no update can be lost,
// and a burst of them is drawn once. On a dark page its colours are those of `dark`; what is saved is always on white.
const HIDDEN_DELAY_MS = 200; // until a figure that is out of sight is drawn

// The page's own, if it brings one; else the kernel's.
async function library(model) {
  await window.workbenchPlotly;
  if (!window.Plotly) model.send({ kind: "library" });
  while (!window.Plotly) await new Promise((done) => setTimeout(done, 20));
  return window.Plotly;
}

const isDark = () => document.body.dataset.jpThemeLight === "false";
const withoutTags = (html) => String(html ?? "").replace(/<br>/g, "; ").replace(/<[^>]*>/g, "");

// The traces that show values: not the lines between points, not the numbers written at bars.
function told(box) {
  const named = (trace) => box.data[trace.index].name || trace.hoverinfo !== "skip";
  return (box._fullData || []).filter((t) => t.visible === true && named(t) && t.mode !== "text" && t.x?.some((x) => x != null));
}

// Name of the region of the figure that a point lies in, if they have names there.
function where(box, trace, x) {
  const holds = (s) => s.name && s.xref === trace.xaxis && s.x0 < x && x < s.x1;
  return box._fullLayout.shapes?.find(holds)?.name ?? "";
}

// One line a point, in the order of the traces; low and high are the ends of its interval, where it has one.
function table(box) {
  const lines = [["series", "x", "y", "low", "high", "about"]];
  for (const trace of told(box)) {
    const { array = [], arrayminus = [], visible } = trace.error_y || {};
    for (let i = 0; i < trace.x.length; i++) {
      const [x, y] = [trace.x[i], trace.y[i]];
      if (x == null || y == null) continue;
      const ends = visible && array[i] !== undefined ? [y - (arrayminus[i] ?? array[i]), y + array[i]] : ["", ""];
      const name = box.data[trace.index].name || "";
      const about = trace.customdata ? trace.customdata[i] : where(box, trace, x);
      lines.push([name, x, y, ...ends, about]);
    }
  }
  return csvText(lines.map((line) => line.map((value) => (typeof value === "number" ? value : withoutTags(value)))));
}

async function render({ model, el }) {
  const label = model.get("label");
  const box = element("div", { className: "wb-figure" }, { role: "figure", "aria-label": label }); // buttons are inside
  box.style.minHeight = `${JSON.parse(model.get("around")).height || 300}px`;
  const tools = element("div", { className: "wb-save" }, { role: "group", "aria-label": `Save ${label}` }, "Save as");
  const words = element("p", { hidden: true }); // in place of a figure without content
  el.classList.add("wb-figure-box");
  el.append(box, words, tools);
  const plotly = await library(model);
  const touch = matchMedia("(pointer: coarse)").matches;
  const settings = {
    displaylogo: false,
    // By name: the others are below the figure, or would send it to another machine.
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    ...(touch && { displayModeBar: false }),
  };
  const file = label.toLowerCase().replace(/[^a-z0-9-]+/g, "_");

  function parsed(name, dark = false) {
    const colors = dark ? model.get("dark") : {};
    return JSON.parse(model.get(name), (_, value) => (typeof value === "string" && colors[value]) || value);
  }

  // The very same arrays as long as nothing in them changes: that is how plotly knows.
  const known = {};
  function data(dark) {
    const key = dark + model.get("traces");
    if (known.key !== key) Object.assign(known, { key, data: parsed("traces", dark) });
    return known.data;
  }

  async function picture(format) {
    const [data, layout] = [parsed("traces"), parsed("around")];
    layout.paper_bgcolor = layout.plot_bgcolor = "white";
    const size = { width: Math.max(480, box.clientWidth), height: layout.height || box.clientHeight };
    const url = await plotly.toImage({ data, layout }, { format, ...size, scale: format === "png" ? 2 : 1 });
    saveFile(await (await fetch(url)).blob(), `${file}.${format}`);
  }

  const kinds = {
    PNG: () => picture("png"),
    SVG: () => picture("svg"),
    CSV: () => saveFile(new Blob([table(box)], { type: "text/csv" }), `${file}.csv`),
  };
  tools.append(...Object.entries(kinds).map(([kind, act]) => {
    const title = `Save ${label} as ${kind}${kind === "CSV" ? ": its numbers" : ""}`;
    return saveButton(kind, title, () => Promise.resolve(act()).catch(console.error));
  }));

  // A point that has an id can be picked.
  function pick({ points }) {
    const point = points.find((p) => p.data.ids);
    if (!point) return;
    model.set("picked", String(point.data.ids[point.pointIndex]));
    model.save_changes();
  }

  let drawing = Promise.resolve();
  const next = (act) => (drawing = drawing.then(act).catch(console.error));
  let frame = 0; // in which it is drawn
  let timer = 0;
  let seen = true;

  async function react() {
    const own = parsed("around").paper_bgcolor;
    const dark = isDark() && own === "rgba(0,0,0,0)"; // one with its own is light wherever it stands
    const layout = parsed("around", dark);
    if (touch) layout.dragmode = false; // a finger scrolls the page
    box.style.minHeight = `${layout.height || 300}px`;
    const isFirst = !box.on;
    await plotly.react(box, data(dark), layout, settings);
    if (isFirst) box.on("plotly_click", pick);
    const series = told(box).length > 0; // else there may be pictures, which have no numbers for a CSV file
    const nothing = !series && !box.data.some((trace) => trace.z);
    box.classList.toggle("wb-nothing", nothing);
    tools.hidden = nothing;
    tools.lastChild.hidden = !series;
    words.hidden = !nothing;
    words.textContent = nothing ? withoutTags(layout.annotations?.[0]?.text) : "";
  }

  function paint() {
    clearTimeout(timer);
    timer = 0;
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      next(react);
    });
  }
  function draw() {
    if (seen) paint();
    else timer ||= setTimeout(paint, HIDDEN_DELAY_MS);
  }
  draw();
  model.on("change:traces change:around", draw);
  const resize = new ResizeObserver(() => {
    if (!box.isConnected || !box.clientWidth || !box._fullLayout) return;
    // Drawn again, because the first time the legend's room is that of the old width.
    plotly.Plots.resize(box).then(() => next(() => plotly.redraw(box)), console.error);
  });
  resize.observe(el);
  const sight = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    if (seen && timer) paint();
  });
  sight.observe(box);
  const theme = new MutationObserver(draw);
  theme.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  return () => {
    clearTimeout(timer);
    sight.disconnect();
    resize.disconnect();
    theme.disconnect();
    plotly.purge(box);
  };
}
export default { render };
