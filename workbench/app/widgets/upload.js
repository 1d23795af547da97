// Send files that the user chooses, drops on the dashboard or pastes, in pieces within the server's limit on messages;
// several files are concatenated. The bar counts the pieces that the kernel has written.
const PIECE_BYTES = 1 << 20;
const MAX_FILES = 20000; // as in upload.py

// Return [path, file] of each file in a dropped file or folder.
async function filesOf(entry, path = "") {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [[path + file.name, file]];
  }
  const reader = entry.createReader(), files = [];
  for (let batch = [null]; batch.length; ) {
    batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    for (const child of batch) files.push(...(await filesOf(child, `${path}${entry.name}/`)));
  }
  return files;
}

function render({ model, el }) {
  const { box, button, show: draw } = transferRow(el);
  const label = model.get("label"), isMultiple = model.get("several"), accept = model.get("accept").split(",");
  const options = { type: "file", hidden: true, multiple: isMultiple, accept: accept.join(",") };
  const input = element("input", options, { "aria-label": label });
  box.prepend(input);

  let currentUpload = 0; // number of the latest upload
  let sending = false;
  const ask = messenger(model);

  function show(busy, share = 0, words = "") {
    sending = busy;
    const [text, title] = busy ? ["Cancel upload", "Stop sending"] : [label, model.get("hint")];
    draw(busy, text, !busy && model.get("disabled"), title, share, words);
  }

  async function send(files) {
    const upload = ++currentUpload;
    show(true);
    const content = files.length === 1 ? files[0][1] : new Blob(files.map(([, file]) => file));
    const first = files.slice(0, MAX_FILES + 1); // one too many is refused
    let reply = await ask({ kind: "begin", files: first.map(([path, file]) => [path, file.size]) });
    for (let offset = 0; reply.ok && offset < content.size && upload === currentUpload; offset += PIECE_BYTES) {
      const piece = await content.slice(offset, offset + PIECE_BYTES).arrayBuffer();
      if (upload !== currentUpload) return;
      reply = await ask({ kind: "piece", at: offset }, [piece]);
      const done = Math.min(offset + PIECE_BYTES, content.size);
      if (upload === currentUpload) show(true, done / content.size, progressText(done, content.size));
    }
    if (upload !== currentUpload) return;
    if (reply.ok) await ask({ kind: "end" });
    show(false);
  }

  function takeFiles(files) {
    const isAccepted = ([path]) => accept.some((suffix) => path.toLowerCase().endsWith(suffix));
    const accepted = isMultiple ? files.filter(isAccepted) : files.slice(0, 1).filter(isAccepted);
    if (!accepted.length || sending || model.get("disabled")) return false;
    send(accepted).catch((error) => { console.error(error); show(false); });
    return true;
  }

  button.addEventListener("click", () => {
    if (!sending) return input.click();
    currentUpload += 1;
    model.send({ kind: "stop" });
    show(false);
  });
  input.addEventListener("change", () => {
    const files = [...input.files].map((file) => [file.name, file]);
    input.value = "";
    if (files.length && !sending) send(files).catch((error) => { console.error(error); show(false); });
  });

  // An upload without an area takes suitable drops and pastes on the whole dashboard; one with an area takes drops there.
  const area = model.get("area");
  const selector = area || ".wb";
  const isInArea = (event) => el.isConnected && event.target.closest?.(selector) === el.closest(selector);
  const allowDrop = (event) => isInArea(event) && event.dataTransfer.types.includes("Files") && event.preventDefault();
  async function drop(event) {
    if (!isInArea(event)) return;
    event.preventDefault();
    if (area) event.stopPropagation();
    const dropped = [...event.dataTransfer.files].map((file) => [file.name, file]);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const hasFolders = entries.some((entry) => entry?.isDirectory);
    takeFiles(hasFolders ? (await Promise.all(entries.map((entry) => filesOf(entry)))).flat() : dropped);
  }
  const paste = (event) => el.isConnected && !area && takeFiles([...event.clipboardData.files].map((file) => [file.name, file]));
  const listeners = [["dragover", allowDrop], ["drop", drop], ["paste", paste]];
  for (const [name, listener] of listeners) document.addEventListener(name, listener, Boolean(area));

  model.on("change:disabled", () => sending || show(false));
  show(false);
  return () => listeners.forEach(([name, listener]) => document.removeEventListener(name, listener, Boolean(area)));
}
export default { render };
