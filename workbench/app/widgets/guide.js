// The steps of the journey, each leading to its card; whose page this is; and whether its kernel still answers.
const BEAT_MS = 4000;
const LOST_MS = 12000;
const AWAY_MS = 600000; // without a movement of the user; then the page no longer keeps its kernel alive

function browserNumber() {
  const make = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  try {
    const known = localStorage.getItem("workbench-browser");
    if (/^[0-9a-f]{32}$/.test(known || "")) return known;
    const made = make();
    localStorage.setItem("workbench-browser", made);
    return made;
  } catch {
    return make(); // a browser that keeps nothing: its session is kept, but not found again
  }
}

function render({ model, el }) {
  const inLab = !window.workbenchServed;
  const bar = document.createElement("nav");
  bar.className = "wb-guide";
  bar.setAttribute("aria-label", "Steps");
  const list = document.createElement("ol");
  const words = document.createElement("p");
  words.setAttribute("role", "status");
  bar.append(list, words);
  el.append(bar);

  const root = () => el.closest(".wb") || document;
  function lead(number) {
    const card = root().querySelector(`.wb-at-${number}`);
    if (!card) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    // Not a term, which would open its hint over the others, and none of a figure's tools.
    const controls = [".jupyter-button", "select", "input"].map((one) => `${one}:not(:disabled)`).join(", ");
    const first = card.querySelector(controls) || card;
    if (first === card) card.tabIndex = -1;
    first.focus({ preventScroll: true });
  }

  const MARKS = { done: "✓", missing: "", next: "", open: "" };
  const SAID = { done: "done", next: "next", open: "can be done now", missing: "not yet" };
  function draw() {
    const steps = model.get("steps");
    while (list.children.length > steps.length) list.lastChild.remove();
    steps.forEach((step, i) => {
      let button = list.children[i] && list.children[i].firstChild;
      if (!button) {
        const item = document.createElement("li");
        button = document.createElement("button");
        button.type = "button";
        button.addEventListener("click", () => lead(i + 1));
        item.append(button);
        list.append(item);
      }
      button.className = `wb-go wb-go-${step.status}`;
      button.title = step.words;
      button.textContent = `${MARKS[step.status] || i + 1} ${step.name}`;
      button.setAttribute("aria-label", `${i + 1}, ${step.name}: ${SAID[step.status]}. ${step.words}`);
      if (step.status === "next") button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const next = steps.find((step) => step.status === "next");
    const bold = document.createElement("b");
    bold.textContent = next ? `Next: ${next.name}. ` : "All steps are done. ";
    words.replaceChildren(bold, next ? next.words : "Change the plan for another run, or choose another network.");
  }
  draw();
  model.on("change:steps", draw);

  function keys(event) {
    const typing = event.target.closest && event.target.closest("input:not([type=checkbox]), textarea, .cm-editor");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || typing) return;
    event.preventDefault();
    model.send({ kind: event.shiftKey ? "redo" : "undo" });
  }
  const listens = inLab ? root() : document;
  listens.addEventListener("keydown", keys);

  // Is the kernel still there?
  const lost = document.createElement("div");
  lost.className = "wb-lost";
  lost.setAttribute("role", "alert");
  lost.hidden = true;
  const what = document.createElement("span");
  const kept = "Every stage that was measured is in the run store, and your plan is kept";
  what.textContent = inLab
    ? `The kernel of this notebook does not answer. It is very busy, or it has ended. ${kept}: restart the kernel and run the cell again to go on.`
    : `The program behind this page does not answer. It is very busy, or it has ended. ${kept}: load the page again to go on.`;
  lost.append(what);
  if (!inLab) {
    const reload = document.createElement("button");
    reload.type = "button";
    reload.textContent = "Load again";
    reload.addEventListener("click", () => location.reload());
    lost.append(reload);
  }
  (el.closest(".wb") || document.body).append(lost); // for the theme's colours
  let heard = performance.now();
  let asked = null;
  let moved = performance.now();
  const here = () => (moved = performance.now());
  const signs = ["pointermove", "pointerdown", "keydown", "scroll"];
  for (const sign of signs) addEventListener(sign, here, { capture: true, passive: true });
  function answered(content) {
    if (content.kind !== "beat") return;
    heard = performance.now();
    asked = null;
    lost.hidden = true;
  }
  model.on("msg:custom", answered);
  const timer = setInterval(() => {
    if (document.hidden || performance.now() - moved > AWAY_MS) {
      asked = null; // and a page in the background is slowed down by the browser
      return;
    }
    const late = asked !== null && performance.now() - asked > LOST_MS && performance.now() - heard > LOST_MS;
    if (late || document.querySelector(".wb .jupyter-widgets-disconnected")) lost.hidden = false;
    if (asked === null) asked = performance.now();
    try {
      model.send({ kind: "beat" });
    } catch {
      // the connection is gone: no answer will come
    }
  }, BEAT_MS);

  model.send({ kind: "here", browser: browserNumber() });
  return () => {
    clearInterval(timer);
    for (const sign of signs) removeEventListener(sign, here, { capture: true });
    listens.removeEventListener("keydown", keys);
    lost.remove();
  };
}
export default { render };
