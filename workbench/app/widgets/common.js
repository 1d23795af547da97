// Shared by the page's widgets: Python puts this file before the code of each.
const asText = (text) => (/^[=+\-@\t\r]/.test(text) && text !== "-" && !Number.isFinite(Number(text)) ? `'${text}` : text);
const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// Return rows of values as CSV; an apostrophe keeps a spreadsheet from evaluating text as a formula.
const csvText = (rows) => rows.map((row) => row.map((value) => quote(asText(String(value)))).join(",") + "\r\n").join("");

function saveFile(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function element(tag, properties = {}, attributes = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A small button below a figure or a table.
function saveButton(text, title, onclick) {
  return element("button", { type: "button", textContent: text, title, onclick }, { "aria-label": title });
}

// Append a button, a progress bar and a text for the transfer of a file; `show` updates them.
function transferRow(el) {
  const button = element("button", { type: "button", className: "lm-Widget jupyter-widgets jupyter-button widget-button" });
  const bar = element("progress", { max: 1 });
  const text = element("span", {}, { role: "status" });
  const box = element("div", { className: "wb-upload" }, {}, button, bar, text);
  el.append(box);
  function show(busy, label, disabled, title, share, words) {
    Object.assign(button, { textContent: label, disabled, title });
    bar.style.visibility = busy ? "visible" : "hidden";
    bar.value = share;
    text.textContent = words;
  }
  return { box, button, show };
}

// Return a function that sends a message and resolves with the kernel's next one.
function messenger(model) {
  let receive = null;
  model.on("msg:custom", (message, buffers) => message.kind !== "items" && receive?.({ ...message, buffers }));
  return (content, buffers) => new Promise((resolve) => {
    receive = resolve;
    model.send(content, undefined, buffers);
  });
}

// Call a function after each change of a list or dictionary, of which the kernel may send only the changed items.
function onItems(model, name, update) {
  model.on(`change:${name}`, update);
  model.on("msg:custom", ({ kind, items }) => {
    if (kind !== "items") return;
    Object.assign(model.get(name), items);
    update();
  });
  model.send({ kind: "whole" });
}

const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(0);
const progressText = (done, size) => `${mebibytes(done)} of ${mebibytes(size)} MiB`;

