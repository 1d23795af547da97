// Request a file from the kernel piece by piece, and save it under its name; the bar shows the share received.
function render({ model, el }) {
  const { button, show: draw } = transferRow(el);
  const ask = messenger(model);
  let busy = false;

  function show(share = 0, note = "") {
    const size = model.get("size");
    draw(busy, model.get("label"), busy || !size, size ? `Save ${model.get("name")}` : "Make the file first", share, note);
  }

  async function save() {
    const [name, size] = [model.get("name"), model.get("size")];
    const parts = [];
    let [offset, problem] = [0, ""];
    busy = true;
    show();
    while (offset < size) {
      const reply = await ask({ at: offset });
      problem = reply.problem;
      if (reply.at !== offset || !reply.size || model.get("name") !== name) break;
      parts.push(reply.buffers[0]);
      offset += reply.size;
      show(offset / size, progressText(offset, size));
    }
    busy = false;
    show(0, offset < size ? problem || "did not arrive whole: make it again" : "saved");
    if (offset >= size) saveFile(new Blob(parts), name);
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
