// A table in which the user picks a row, by a click or by the arrow keys.
function render({ model, el }) {
  const label = { "aria-label": model.get("label") };
  const columns = model.get("columns");
  const titles = columns.map(({ title, kind, hint, expert }) => {
    const className = `${kind}${hint ? " hint" : ""}${expert ? " wb-expert" : ""}`;
    return element("th", { scope: "col", className, title: hint || "" }, {}, title);
  });
  const head = element("thead", {}, {}, element("tr", {}, {}, ...titles));
  const body = element("tbody");
  const table = element("table", {}, { role: "grid", ...label }, head, body);
  el.append(element("div", { className: "wb-table" }, { role: "region", ...label }, table));
  const drawn = new WeakMap(); // row -> its values as JSON, to redraw only rows that change
  if (model.get("file")) {
    const button = saveButton("CSV", `Save ${model.get("label")} as CSV`, () => {
      const rows = model.get("rows").map((row) => columns.map((c) => row[c.key]));
      saveFile(new Blob([csvText([columns.map((c) => c.title), ...rows])], { type: "text/csv" }), model.get("file"));
    });
    el.append(element("div", { className: "wb-save" }, {}, "Save as", button));
  }

  function content(kind, value, row) {
    if (kind === "share") {
      const bar = element("i");
      bar.style.width = `${Math.max(1, 48 * Number(row.bar))}px`;
      return [element("span", { textContent: `${(100 * Number(value)).toFixed(1)} %` }), bar];
    }
    if (kind === "decision") return [element("em", { textContent: value, className: row.tag })];
    if (kind !== "score") return [String(value)];
    const [score, note] = String(value).split("\n");
    return [score, element("small", { textContent: note || "" })];
  }

  function addRow() {
    const row = body.insertRow();
    columns.forEach(() => row.insertCell());
    row.addEventListener("click", () => pick(row.dataset.name));
    row.addEventListener("keydown", (event) => {
      const neighbour = { ArrowDown: row.nextSibling, ArrowUp: row.previousSibling }[event.key];
      if (event.key === "Enter" || event.key === " ") pick(row.dataset.name);
      else if (neighbour) { pick(neighbour.dataset.name); neighbour.focus(); }
      else return;
      event.preventDefault();
    });
    return row;
  }

  function drawBody() {
    const rows = model.get("rows");
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((values, i) => {
      const row = body.rows[i] || addRow();
      const text = JSON.stringify(values);
      if (drawn.get(row) === text) return;
      drawn.set(row, text);
      row.dataset.name = values.name;
      columns.forEach(({ kind, key, expert }, k) => {
        row.cells[k].dataset.key = key;
        const className = expert ? `${kind} wb-expert` : kind;
        Object.assign(row.cells[k], { className, title: kind === "reason" ? values[key] : "" });
        row.cells[k].replaceChildren(...content(kind, values[key], values));
      });
    });
    drawSelection();
  }

  function drawSelection() {
    const rows = [...body.rows];
    const picked = rows.find((row) => row.dataset.name === model.get("selected"));
    for (const row of rows) {
      row.classList.toggle("selected", row === picked);
      row.setAttribute("aria-selected", String(row === picked));
      row.tabIndex = row === (picked || rows[0]) ? 0 : -1;
    }
  }

  function pick(name) {
    model.set("selected", name);
    model.save_changes();
    drawSelection();
  }

  drawBody();
  onItems(model, "rows", drawBody);
  model.on("change:selected", drawSelection);
}
export default { render };
