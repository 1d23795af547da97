// Asks the kernel for a file piece by piece and saves it under its name; the bar tells how much has arrived.
function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "wb-upload";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lm-Widget jupyter-widgets jupyter-button widget-button";
  const bar = document.createElement("progress");
  bar.max = 1;
  const text = document.createElement("span");
  text.setAttribute("role", "status");
  box.append(button, bar, text);
  el.append(box);

  let answer = null;
  let busy = false;
  model.on("msg:custom", (message, buffers) => answer && answer({ ...message, buffers }));

  function piece(at) {
    return new Promise((resolve) => {
      answer = resolve;
      model.send({ at });
    });
  }

  function show(share = 0, words = "") {
    button.textContent = model.get("label");
    button.disabled = busy || !model.get("size");
    button.title = model.get("size") ? `Save ${model.get("name")}` : "Make the file first";
    bar.style.visibility = busy ? "visible" : "hidden";
    bar.value = share;
    text.textContent = words;
  }

  async function save() {
    const [name, size] = [model.get("name"), model.get("size")];
    const parts = [];
    let at = 0;
    let problem = "";
    busy = true;
    show();
    while (at < size) {
      const reply = await piece(at);
      problem = reply.problem || "";
      if (reply.at !== at || !reply.size || model.get("name") !== name) break;
      parts.push(reply.buffers[0]);
      at += reply.size;
      show(at / size, `${(at / 2 ** 20).toFixed(0)} of ${(size / 2 ** 20).toFixed(0)} MiB`);
    }
    busy = false;
    show(0, at < size ? problem || "did not arrive whole: make it again" : "saved");
    if (at < size) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  button.addEventListener("click", () => save().catch((error) => {
    console.error(error);
    busy = false;
    show(0, "did not arrive: try again");
  }));
  model.on("change:size change:name", () => busy || show());
  show();
}
export default { render };
