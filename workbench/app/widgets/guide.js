// The rail with the steps, the switch for experts and the log; an alert if the kernel does not answer.
const BEAT_INTERVAL_MS = 4000;
const ANSWER_TIMEOUT_MS = 12000;
const IDLE_TIMEOUT_MS = 600000; // without input of the user, after which the page stops keeping its kernel alive
const STATUS_TEXT = { done: "done", next: "next", open: "can be done now", missing: "not yet" };

// Return the browser's stored value, or store a default; a browser without storage does not find its session again.
function stored(name, fallback) {
  try {
    return (localStorage[name] ||= fallback);
  } catch {
    return fallback;
  }
}

function browserId() {
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
  return stored("workbench-browser", id);
}

function render({ model, el }) {
  const inLab = !window.workbenchServed;
  const list = element("ol");
  const expertSwitch = element("input", { type: "checkbox", onchange: toggle });
  const number = element("span");
  const lines = element("ol", { tabIndex: 0 }, { "aria-label": "Log" });
  const log = element("details", { className: "wb-log" }, {}, element("summary", {}, {}, "Log ", number), lines);
  const rail = element("nav", { className: "wb-guide" }, { "aria-label": "Steps" }, list);
  rail.append(element("label", { className: "wb-expert-switch" }, {}, expertSwitch, " Expert"), log);
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
      button.setAttribute("aria-label", `${i + 1}, ${step.name}: ${STATUS_TEXT[step.status]}. ${step.words}`);
    });
    show();
  }
  list.addEventListener("keydown", (event) => {
    const direction = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const target = list.children[[...list.children].indexOf(event.target.parentElement) + direction]?.firstChild;
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.click();
  });

  function drawLog() {
    const entries = model.get("log");
    number.textContent = entries.length;
    lines.replaceChildren(...entries.map((textContent) => element("li", { textContent })).reverse());
  }
  expertSwitch.checked = stored("workbench-expert", "no") === "yes";
  function toggle() {
    root().classList.toggle("wb-is-expert", expertSwitch.checked);
    try {
      localStorage["workbench-expert"] = expertSwitch.checked ? "yes" : "no";
    } catch {
      // the browser has no storage
    }
  }
  model.on("change:steps", draw);
  model.on("change:shown", show);
  model.on("change:log", drawLog);
  drawLog();
  requestAnimationFrame(function start() {
    if (!el.closest(".wb")) return el.isConnected || requestAnimationFrame(start);
    root().append(lostAlert); // inside .wb for its colours
    draw();
    toggle();
  });

  function undoOrRedo(event) {
    const isTyping = event.target.closest?.("input:not([type=checkbox]), textarea, .cm-editor, [contenteditable=true]");
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || isTyping) return;
    if (inLab && !el.closest(".wb")?.contains(event.target)) return; // the key is for the notebook
    event.preventDefault();
    model.send({ kind: event.shiftKey ? "redo" : "undo" });
  }
  document.addEventListener("keydown", undoOrRedo, true); // captures the key before JupyterLab undoes an edit of a cell

  // Show an alert if the kernel does not answer.
  const [kernel, advice] = inLab
    ? ["The kernel of this notebook", "restart the kernel and run the cell again to go on."]
    : ["The program behind this page", "load the page again to go on."];
  const storage = "Every stage that was measured is in the run store, and your plan is kept";
  const text = element("span", {}, {}, `${kernel} does not answer. It is very busy, or it has ended. ${storage}: ${advice}`);
  const lostAlert = element("div", { className: "wb-lost", hidden: true }, { role: "alert" }, text);
  const reload = () => location.reload();
  if (!inLab) lostAlert.append(element("button", { type: "button", textContent: "Load again", onclick: reload }));
  let firstUnanswered = null; // time of the first beat without an answer
  let lastInput = performance.now();
  const noteInput = () => (lastInput = performance.now());
  const inputEvents = ["pointermove", "pointerdown", "keydown", "scroll"];
  for (const name of inputEvents) addEventListener(name, noteInput, { capture: true, passive: true });
  model.on("msg:custom", () => {
    firstUnanswered = null;
    lostAlert.hidden = true;
  });
  const timer = setInterval(() => {
    if (document.hidden || performance.now() - lastInput > IDLE_TIMEOUT_MS) {
      firstUnanswered = null; // the browser slows down a page in the background
      return;
    }
    firstUnanswered ??= performance.now();
    const isLate = performance.now() - firstUnanswered > ANSWER_TIMEOUT_MS;
    if (isLate || document.querySelector(".wb .jupyter-widgets-disconnected")) lostAlert.hidden = false;
    try {
      model.send({ kind: "beat" });
    } catch {
      // the connection is gone, so no answer comes
    }
  }, BEAT_INTERVAL_MS);

  model.send({ kind: "here", browser: browserId() });
  return () => {
    clearInterval(timer);
    for (const name of inputEvents) removeEventListener(name, noteInput, { capture: true });
    document.removeEventListener("keydown", undoOrRedo, true);
    lostAlert.remove();
  };
}
export default { render };
