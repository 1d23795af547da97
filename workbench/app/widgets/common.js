// Shared by our widgets: Python puts it in front of the code of each.
const inert = (text) => (/^[=+\-@\t\r]/.test(text) && text !== "-" && !Number.isFinite(Number(text)) ? `'${text}` : text);
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// Lines of values as CSV; text that a spreadsheet would compute gets an apostrophe before it.
const csvText = (lines) => lines.map((line) => line.map((value) => quoted(inert(String(value)))).join(",") + "\r\n").join("");

function saveFile(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

function element(tag, properties = {}, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A small button below a figure or a table.
function saveButton(text, title, onclick) {
  return element("button", { type: "button", textContent: text, title, onclick }, { "aria-label": title });
}

// A button, a progress bar and a text: of a file that is on its way. `show` draws them.
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

// Sends what it gets, and waits for the kernel's next message.
function talk(model) {
  let answer = null;
  model.on("msg:custom", (message, buffers) => message.kind !== "items" && answer?.({ ...message, buffers }));
  return (content, buffers) => new Promise((resolve) => {
    answer = resolve;
    model.send(content, undefined, buffers);
  });
}

// Calls a function when a trait changes that is a list or a dictionary, of which the kernel may send some items only.
function onItems(model, name, act) {
  model.on(`change:${name}`, act);
  model.on("msg:custom", ({ kind, items }) => {
    if (kind !== "items") return;
    Object.assign(model.get(name), items);
    act();
  });
  model.send({ kind: "whole" });
}

const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(0);
const progressText = (done, size) => `${mebibytes(done)} of ${mebibytes(size)} MiB`;

