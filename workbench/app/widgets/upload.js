// Sends a file of the user's machine in pieces, so that no size limit of the server's messages matters. A piece counts
// in the bar when the kernel has written it.
const PIECE_BYTES = 1 << 20;

function render({ model, el }) {
  const { box, button, show: draw } = transferRow(el);
  const label = model.get("label");
  const input = element("input", { type: "file", hidden: true, accept: model.get("accept") }, { "aria-label": label });
  box.prepend(input);

  let run = 0; // the number of the upload that counts
  let sending = false;
  const ask = talk(model);

  function show(busy, share = 0, words = "") {
    sending = busy;
    const [text, title] = busy ? ["Cancel upload", "Stop sending the file"] : [label, model.get("hint")];
    draw(busy, text, !busy && model.get("disabled"), title, share, words);
  }

  async function send(file) {
    const mine = ++run;
    show(true);
    let reply = await ask({ kind: "begin", name: file.name, size: file.size });
    for (let at = 0; reply.ok && at < file.size && mine === run; at += PIECE_BYTES) {
      const piece = await file.slice(at, at + PIECE_BYTES).arrayBuffer();
      if (mine !== run) return;
      reply = await ask({ kind: "piece", at }, [piece]);
      const done = Math.min(at + PIECE_BYTES, file.size);
      if (mine === run) show(true, done / file.size, progressText(done, file.size));
    }
    if (mine !== run) return;
    if (reply.ok) await ask({ kind: "end" });
    show(false);
  }

  button.addEventListener("click", () => {
    if (!sending) return input.click();
    run += 1;
    model.send({ kind: "stop" });
    show(false);
  });
  input.addEventListener("change", () => {
    const file = input.files[0];
    input.value = "";
    if (file) send(file).catch((error) => { console.error(error); show(false); });
  });
  model.on("change:disabled", () => sending || show(false));
  show(false);
}
export default { render };
