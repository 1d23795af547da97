// The steps of the journey, each leading to its card; whose page this is; and whether its kernel still answers.
const BEAT_MS = 4000;
const LOST_MS = 12000;
const AWAY_MS = 600000; // without a movement of the user; then the page no longer keeps its kernel alive
const SAID = { done: "done", next: "next", open: "can be done now", missing: "not yet" };

function browserNumber() {
  const made = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  try {
    return (localStorage["workbench-browser"] ||= made);
  } catch {
    return made; // a browser that keeps nothing: its session is kept, but not found again
  }
}

function render({ model, el }) {
  const inLab = !window.workbenchServed;
  const list = element("ol");
  const words = element("p", {}, { role: "status" });
  el.append(element("nav", { className: "wb-guide" }, { "aria-label": "Steps" }, list, words));

  const root = () => el.closest(".wb") || document;
  function lead(number) {
    const card = root().querySelector(`.wb-at-${number}`);
    if (!card) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    // Not a term, which would open its hint over the others, and none of a figure's tools.
    const first = card.querySelector(":is(.jupyter-button, select, input):not(:disabled)") || card;
    if (first === card) card.tabIndex = -1;
    first.focus({ preventScroll: true });
  }

  function draw() {
    const steps = model.get("steps");
    steps.forEach((step, i) => {
      if (!list.children[i]) {
        const made = element("button", { type: "button" });
        made.addEventListener("click", () => lead(i + 1));
        list.append(element("li", {}, {}, made));
      }
      const button = list.children[i].firstChild;
      const textContent = `${step.status === "done" ? "✓" : i + 1} ${step.name}`;
      Object.assign(button, { className: `wb-go wb-go-${step.status}`, title: step.words, textContent });
      button.setAttribute("aria-label", `${i + 1}, ${step.name}: ${SAID[step.status]}. ${step.words}`);
      button.ariaCurrent = step.status === "next" ? "step" : null;
    });
    const next = steps.find((step) => step.status === "next");
    const bold = element("b", { textContent: next ? `Next: ${next.name}. ` : "All steps are done. " });
    words.replaceChildren(bold, next ? next.words : "Change the plan for another run, or choose another network.");
  }
  draw();
  model.on("change:steps", draw);

  function keys(event) {
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, .cm-editor");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || typing) return;
    event.preventDefault();
    model.send({ kind: event.shiftKey ? "redo" : "undo" });
  }
  const listens = inLab ? root() : document;
  listens.addEventListener("keydown", keys);

  // Is the kernel still there?
  const [what, again] = inLab
    ? ["The kernel of this notebook", "restart the kernel and run the cell again to go on."]
    : ["The program behind this page", "load the page again to go on."];
  const kept = "Every stage that was measured is in the run store, and your plan is kept";
  const text = element("span", {}, {}, `${what} does not answer. It is very busy, or it has ended. ${kept}: ${again}`);
  const lost = element("div", { className: "wb-lost", hidden: true }, { role: "alert" }, text);
  if (!inLab) {
    const reload = element("button", { type: "button", textContent: "Load again" });
    reload.addEventListener("click", () => location.reload());
    lost.append(reload);
  }
  (el.closest(".wb") || document.body).append(lost); // for the theme's colours
  let asked = null; // when the first beat was sent that has no answer yet
  let moved = performance.now();
  const here = () => (moved = performance.now());
  const signs = ["pointermove", "pointerdown", "keydown", "scroll"];
  for (const sign of signs) addEventListener(sign, here, { capture: true, passive: true });
  model.on("msg:custom", () => {
    asked = null;
    lost.hidden = true;
  });
  const timer = setInterval(() => {
    if (document.hidden || performance.now() - moved > AWAY_MS) {
      asked = null; // and a page in the background is slowed down by the browser
      return;
    }
    asked ??= performance.now();
    const late = performance.now() - asked > LOST_MS;
    if (late || document.querySelector(".wb .jupyter-widgets-disconnected")) lost.hidden = false;
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
