// A file from the user's machine, sent in pieces, so that any size limit of the server's messages is far away and the
// bar tells the truth: a piece counts when the kernel has written it.
const PIECE = 1 << 20;

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "wb-upload";
  const input = document.createElement("input");
  input.type = "file";
  input.hidden = true;
  input.accept = model.get("accept");
  input.setAttribute("aria-label", model.get("label"));
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lm-Widget jupyter-widgets jupyter-button widget-button";
  const bar = document.createElement("progress");
  bar.max = 1;
  const text = document.createElement("span");
  text.setAttribute("role", "status");
  box.append(input, button, bar, text);
  el.append(box);

  let run = 0; // the number of the upload that counts
  let answer = null;
  model.on("msg:custom", (message) => answer && answer(message));

  function ask(content, buffers) {
    return new Promise((resolve) => {
      answer = resolve;
      model.send(content, undefined, buffers);
    });
  }

  function show(busy, share = 0, words = "") {
    button.textContent = busy ? "Cancel upload" : model.get("label");
    button.disabled = !busy && model.get("disabled");
    button.title = busy ? "Stop sending the file" : model.get("hint");
    bar.style.visibility = busy ? "visible" : "hidden";
    bar.value = share;
    text.textContent = words;
  }

  async function send(file) {
    const mine = ++run;
    show(true, 0, "");
    let reply = await ask({ kind: "begin", name: file.name, size: file.size });
    for (let at = 0; reply.ok && at < file.size && mine === run; at += PIECE) {
      const piece = await file.slice(at, at + PIECE).arrayBuffer();
      if (mine !== run) return;
      reply = await ask({ kind: "piece", at }, [piece]);
      const done = Math.min(at + PIECE, file.size);
      if (mine === run) show(true, done / file.size, `${(done / 2 ** 20).toFixed(0)} of ${(file.size / 2 ** 20).toFixed(0)} MiB`);
    }
    if (mine !== run) return;
    if (reply.ok) reply = await ask({ kind: "end" });
    show(false);
  }

  button.addEventListener("click", () => {
    if (button.textContent === model.get("label")) return input.click();
    run += 1;
    model.send({ kind: "stop" });
    show(false);
  });
  input.addEventListener("change", () => {
    const file = input.files[0];
    input.value = "";
    if (file) send(file).catch((error) => { console.error(error); show(false); });
  });
  model.on("change:disabled", () => { if (bar.style.visibility === "hidden") show(false); });
  show(false);
}
export default { render };
