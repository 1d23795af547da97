// Says that the page is built. Names what ipywidgets leaves without a name: sliders' handles and numbers, inputs that have
// only a hint. When the focus moves, a hint that its card would cut off opens further left, and a box for whole numbers
// shows the number that was taken, which of "1e9" is 1.
const MAX_HINT_PX = 366; // width of the widest hint, with its border
const NAME_DELAY_MS = 300; // after a change of the page; a slider that is dragged changes it in every frame

function name(root) {
  const text = (widget) => widget.querySelector(".widget-label")?.textContent.trim() || widget.title || "";
  const set = (element, value) => {
    if (element && value && element.getAttribute("aria-label") !== value) element.setAttribute("aria-label", value);
  };
  for (const widget of root.querySelectorAll(".widget-slider")) {
    const handles = widget.querySelectorAll(".noUi-handle");
    handles.forEach((handle, i) => set(handle, text(widget) + (handles.length > 1 ? [", least", ", most"][i] : "")));
    const number = widget.querySelector(".widget-readout");
    if (number) number.setAttribute("role", "textbox");
    set(number, `${text(widget)}, as a number`);
  }
  for (const input of root.querySelectorAll(".jupyter-widgets select, .jupyter-widgets input")) {
    if (!input.labels?.length || ![...input.labels].some((label) => label.textContent.trim())) {
      set(input, text(input.closest(".jupyter-widgets")));
    }
  }
  for (const scroller of root.querySelectorAll(".wb-scroll")) scroller.tabIndex = 0;
}

function place({ target }) {
  if (!target.matches?.(".wb-term")) return;
  const edge = target.closest(".wb")?.getBoundingClientRect().right ?? innerWidth;
  const over = target.getBoundingClientRect().left + MAX_HINT_PX - edge;
  target.style.setProperty("--wb-shift", `${-Math.max(0, Math.ceil(over))}px`);
}

function whole({ target }) {
  if (!target.matches?.("input[type=number][step='1']")) return;
  const taken = parseInt(target.value, 10);
  if (!Number.isNaN(taken) && String(taken) !== target.value) target.value = String(taken);
}

function render({ model, el }) {
  let root = null;
  let timer = 0;
  const nameSoon = () => (timer ||= setTimeout(() => {
    timer = 0;
    name(root);
  }, NAME_DELAY_MS));
  const watch = new MutationObserver(nameSoon);
  requestAnimationFrame(function begin() {
    root = el.closest(".wb");
    if (!root) return el.isConnected || requestAnimationFrame(begin);
    if (!document.querySelector("main, [role=main]")) root.setAttribute("role", "main");
    name(root);
    watch.observe(root, { childList: true, subtree: true });
    root.addEventListener("focusin", place);
    root.addEventListener("focusout", whole);
  });
  model.send({ kind: "built" });
  return () => {
    watch.disconnect();
    clearTimeout(timer);
    root?.removeEventListener("focusin", place);
    root?.removeEventListener("focusout", whole);
  };
}
export default { render };
