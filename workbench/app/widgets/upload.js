// Sends files of the user's machine in pieces, so that no size limit of the server's messages matters: chosen, dropped
// on the dashboard, or pasted. Several files go one behind the other. A piece counts in the bar when the kernel has
// written it.
const PIECE_BYTES = 1 << 20;
const MAX_FILES = 20000; // as in upload.py

// Files of a drop with their paths below a folder that was dropped.
async function filesOf(entry, path = "") {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [[path + file.name, file]];
  }
  const reader = entry.createReader(), found = [];
  for (let batch = [null]; batch.length; ) {
    batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    for (const inner of batch) found.push(...(await filesOf(inner, `${path}${entry.name}/`)));
  }
  return found;
}

function render({ model, el }) {
  const { box, button, show: draw } = transferRow(el);
  const label = model.get("label"), several = model.get("several"), accept = model.get("accept").split(",");
  const options = { type: "file", hidden: true, multiple: several, accept: accept.join(",") };
  const input = element("input", options, { "aria-label": label });
  box.prepend(input);

  let run = 0; // the number of the upload that counts
  let sending = false;
  const ask = talk(model);

  function show(busy, share = 0, words = "") {
    sending = busy;
    const [text, title] = busy ? ["Cancel upload", "Stop sending"] : [label, model.get("hint")];
    draw(busy, text, !busy && model.get("disabled"), title, share, words);
  }

  async function send(files) {
    const mine = ++run;
    show(true);
    const all = files.length === 1 ? files[0][1] : new Blob(files.map(([, file]) => file));
    const first = files.slice(0, MAX_FILES + 1); // one too many is refused
    let reply = await ask({ kind: "begin", files: first.map(([path, file]) => [path, file.size]) });
    for (let at = 0; reply.ok && at < all.size && mine === run; at += PIECE_BYTES) {
      const piece = await all.slice(at, at + PIECE_BYTES).arrayBuffer();
      if (mine !== run) return;
      reply = await ask({ kind: "piece", at }, [piece]);
      const done = Math.min(at + PIECE_BYTES, all.size);
      if (mine === run) show(true, done / all.size, progressText(done, all.size));
    }
    if (mine !== run) return;
    if (reply.ok) await ask({ kind: "end" });
    show(false);
  }

  function take(files) {
    const kind = ([path]) => accept.some((suffix) => path.toLowerCase().endsWith(suffix));
    const wanted = several ? files.filter(kind) : files.slice(0, 1).filter(kind);
    if (!wanted.length || sending || model.get("disabled")) return false;
    send(wanted).catch((error) => { console.error(error); show(false); });
    return true;
  }

  button.addEventListener("click", () => {
    if (!sending) return input.click();
    run += 1;
    model.send({ kind: "stop" });
    show(false);
  });
  input.addEventListener("change", () => {
    const files = [...input.files].map((file) => [file.name, file]);
    input.value = "";
    if (files.length && !sending) send(files).catch((error) => { console.error(error); show(false); });
  });

  // A drop or paste anywhere on the dashboard goes to the upload that takes such files; a drop on an area to its own.
  const area = model.get("area");
  const place = area || ".wb";
  const ours = (event) => el.isConnected && event.target.closest?.(place) === el.closest(place);
  const over = (event) => ours(event) && event.dataTransfer.types.includes("Files") && event.preventDefault();
  async function drop(event) {
    if (!ours(event)) return;
    event.preventDefault();
    if (area) event.stopPropagation();
    const dropped = [...event.dataTransfer.files].map((file) => [file.name, file]);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
    const folders = entries.some((entry) => entry?.isDirectory);
    take(folders ? (await Promise.all(entries.map((entry) => filesOf(entry)))).flat() : dropped);
  }
  const paste = (event) => el.isConnected && !area && take([...event.clipboardData.files].map((file) => [file.name, file]));
  const listeners = [["dragover", over], ["drop", drop], ["paste", paste]];
  for (const [name, listener] of listeners) document.addEventListener(name, listener, Boolean(area));

  model.on("change:disabled", () => sending || show(false));
  show(false);
  return () => listeners.forEach(([name, listener]) => document.removeEventListener(name, listener, Boolean(area)));
}
export default { render };
