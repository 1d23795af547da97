// Asks the kernel for a file piece by piece and saves it under its name; the bar shows how much has arrived.
function render({ model, el }) {
  const { button, show: draw } = transferRow(el);
  const ask = talk(model);
  let busy = false;

  function show(share = 0, words = "") {
    const size = model.get("size");
    draw(busy, model.get("label"), busy || !size, size ? `Save ${model.get("name")}` : "Make the file first", share, words);
  }

  async function save() {
    const [name, size] = [model.get("name"), model.get("size")];
    const parts = [];
    let [at, problem] = [0, ""];
    busy = true;
    show();
    while (at < size) {
      const reply = await ask({ at });
      problem = reply.problem;
      if (reply.at !== at || !reply.size || model.get("name") !== name) break;
      parts.push(reply.buffers[0]);
      at += reply.size;
      show(at / size, progressText(at, size));
    }
    busy = false;
    show(0, at < size ? problem || "did not arrive whole: make it again" : "saved");
    if (at >= size) saveFile(new Blob(parts), name);
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
