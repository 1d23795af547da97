// A table of which one picks a row: click it, or focus one and use the arrow keys.
function render({ model, el }) {
  const label = { "aria-label": model.get("label") };
  const head = element("thead");
  const body = element("tbody");
  const table = element("table", {}, { role: "grid", ...label }, head, body);
  el.append(element("div", { className: "wb-table" }, { role: "region", ...label }, table));
  const drawn = new WeakMap(); // row -> what it shows: while a rank moves, one of them changes
  if (model.get("file")) {
    const button = saveButton("CSV", `Save ${model.get("label")} as CSV`, () => {
      saveFile(new Blob([csv()], { type: "text/csv" }), model.get("file"));
    });
    el.append(element("div", { className: "wb-save" }, {}, "Save as", button));
  }

  function csv() {
    const columns = model.get("columns");
    return csvText([columns.map((c) => c.title), ...model.get("rows").map((row) => columns.map((c) => row[c.key]))]);
  }

  function drawHead() {
    const row = document.createElement("tr");
    for (const column of model.get("columns")) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = column.title;
      cell.className = column.kind;
      if (column.hint) {
        cell.title = column.hint;
        cell.classList.add("hint");
      }
      row.append(cell);
    }
    head.replaceChildren(row);
  }

  function fill(cell, column, value, line) {
    if (column.kind === "share") {
      const bar = document.createElement("i");
      bar.style.width = `${Math.max(1, 48 * Number(line.bar))}px`;
      const text = document.createElement("span");
      text.textContent = `${(100 * Number(value)).toFixed(1)} %`;
      cell.replaceChildren(text, bar);
    } else if (column.kind === "decision") {
      const tag = document.createElement("em");
      tag.textContent = value;
      tag.className = line.tag;
      cell.replaceChildren(tag);
    } else if (column.kind === "score") {
      const [score, about] = String(value).split("\n");
      const small = document.createElement("small");
      small.textContent = about || "";
      cell.replaceChildren(score, small);
    } else if (cell.textContent !== String(value)) {
      cell.textContent = value;
    }
    if (column.kind === "reason") cell.title = value;
  }

  function drawBody() {
    const columns = model.get("columns");
    const rows = model.get("rows");
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((line, i) => {
      let row = body.rows[i];
      if (!row) {
        row = body.insertRow();
        for (let k = 0; k < columns.length; k++) row.insertCell();
        row.addEventListener("click", () => pick(row.dataset.name));
        row.addEventListener("keydown", (event) => {
          const next = { ArrowDown: row.nextSibling, ArrowUp: row.previousSibling }[event.key];
          if (event.key === "Enter" || event.key === " ") pick(row.dataset.name);
          else if (next) { pick(next.dataset.name); next.focus(); }
          else return;
          event.preventDefault();
        });
      }
      const text = JSON.stringify(line);
      if (drawn.get(row) === text) return;
      drawn.set(row, text);
      row.dataset.name = line.name;
      columns.forEach((column, k) => {
        row.cells[k].className = column.kind;
        fill(row.cells[k], column, line[column.key], line);
      });
    });
    drawSelection();
  }

  function drawSelection() {
    for (const row of body.rows) {
      const on = row.dataset.name === model.get("selected");
      row.classList.toggle("selected", on);
      row.setAttribute("aria-selected", String(on));
      row.tabIndex = on ? 0 : -1;
    }
    const anyOn = [...body.rows].some((row) => row.tabIndex === 0);
    if (!anyOn && body.rows.length) body.rows[0].tabIndex = 0;
  }

  function pick(name) {
    model.set("selected", name);
    model.save_changes();
    drawSelection();
  }

  drawHead();
  drawBody();
  model.on("change:columns", drawHead);
  model.on("change:rows", drawBody);
  model.on("change:selected", drawSelection);
}
export default { render };
