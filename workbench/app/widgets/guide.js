// The rail: the steps, of which one is shown; the switch for experts; the log. And whether the kernel still answers.
const BEAT_MS = 4000;
const LOST_MS = 12000;
const AWAY_MS = 600000; // without a movement of the user; then the page no longer keeps its kernel alive
const SAID = { done: "done", next: "next", open: "can be done now", missing: "not yet" };

// What the browser keeps under a name, or else from now on; some keep nothing: their session is not found again.
function kept(name, otherwise) {
  try {
    return (localStorage[name] ||= otherwise);
  } catch {
    return otherwise;
  }
}

function browserNumber() {
  const made = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  return kept("workbench-browser", made);
}

function render({ model, el }) {
  const inLab = !window.workbenchServed;
  const list = element("ol");
  const expert = element("input", { type: "checkbox", onchange: toggle });
  const number = element("span");
  const lines = element("ol", { tabIndex: 0 }, { "aria-label": "Log" });
  const log = element("details", { className: "wb-log" }, {}, element("summary", {}, {}, "Log ", number), lines);
  const rail = element("nav", { className: "wb-guide" }, { "aria-label": "Steps" }, list);
  rail.append(element("label", { className: "wb-expert-switch" }, {}, expert, " Expert"), log);
  el.append(rail);

  const root = () => el.closest(".wb") || document.body;
  function show() {
    const shown = model.get("shown");
    if (root().dataset.step && root().getBoundingClientRect().top < 0) root().scrollIntoView();
    root().dataset.step = shown;
    [...list.children].forEach(({ firstChild }, i) => (firstChild.ariaCurrent = i + 1 === shown ? "step" : null));
  }

  function draw() {
    const steps = model.get("steps");
    steps.forEach((step, i) => {
      if (!list.children[i]) {
        const onclick = () => {
          model.set("shown", i + 1);
          model.save_changes();
        };
        list.append(element("li", {}, {}, element("button", { type: "button", onclick })));
      }
      const button = list.children[i].firstChild;
      const mark = element("span", { textContent: step.status === "done" ? "✓" : i + 1 });
      Object.assign(button, { className: `wb-go wb-go-${step.status}`, title: step.words });
      button.replaceChildren(mark, step.name);
      button.setAttribute("aria-label", `${i + 1}, ${step.name}: ${SAID[step.status]}. ${step.words}`);
    });
    show();
  }
  list.addEventListener("keydown", (event) => {
    const way = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const other = list.children[[...list.children].indexOf(event.target.parentElement) + way]?.firstChild;
    if (!other) return;
    event.preventDefault();
    other.focus();
    other.click();
  });

  function drawLog() {
    const found = model.get("log");
    number.textContent = found.length;
    lines.replaceChildren(...found.map((textContent) => element("li", { textContent })).reverse());
  }
  expert.checked = kept("workbench-expert", "no") === "yes";
  function toggle() {
    root().classList.toggle("wb-is-expert", expert.checked);
    try {
      localStorage["workbench-expert"] = expert.checked ? "yes" : "no";
    } catch {
      // it keeps nothing
    }
  }
  model.on("change:steps", draw);
  model.on("change:shown", show);
  model.on("change:log", drawLog);
  drawLog();
  requestAnimationFrame(function begin() {
    if (!el.closest(".wb")) return el.isConnected || requestAnimationFrame(begin);
    root().append(lost); // for the theme's colours
    draw();
    toggle();
  });

  function keys(event) {
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea, .cm-editor, [contenteditable=true]");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || typing) return;
    if (inLab && !el.closest(".wb")?.contains(event.target)) return; // it is for the notebook
    event.preventDefault();
    model.send({ kind: event.shiftKey ? "redo" : "undo" });
  }
  document.addEventListener("keydown", keys, true); // before JupyterLab, which then does not undo an edit of a cell

  // Is the kernel still there?
  const [what, advice] = inLab
    ? ["The kernel of this notebook", "restart the kernel and run the cell again to go on."]
    : ["The program behind this page", "load the page again to go on."];
  const stored = "Every stage that was measured is in the run store, and your plan is kept";
  const text = element("span", {}, {}, `${what} does not answer. It is very busy, or it has ended. ${stored}: ${advice}`);
  const lost = element("div", { className: "wb-lost", hidden: true }, { role: "alert" }, text);
  const reload = () => location.reload();
  if (!inLab) lost.append(element("button", { type: "button", textContent: "Load again", onclick: reload }));
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
    document.removeEventListener("keydown", keys, true);
    lost.remove();
  };
}
export default { render };
