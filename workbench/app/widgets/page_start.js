// Tell the kernel that the page is built. Label what ipywidgets leaves unlabelled: handles and readouts of sliders,
// inputs with a hint only. On focus, a hint that the page's edge would cut off opens further left. When the focus leaves
// a box for whole numbers, the box shows the number that it sent, which for "1e9" is 1.
const MAX_HINT_PX = 366; // width of the widest hint, with its border
const LABEL_DELAY_MS = 300; // after a change of the page: dragging a slider changes it in every frame

function labelControls(root) {
  const text = (widget) => widget.querySelector(".widget-label")?.textContent.trim() || widget.title || "";
  const setLabel = (element, value) => {
    if (element && value && element.getAttribute("aria-label") !== value) element.setAttribute("aria-label", value);
  };
  for (const widget of root.querySelectorAll(".widget-slider")) {
    const handles = widget.querySelectorAll(".noUi-handle");
    handles.forEach((handle, i) => setLabel(handle, text(widget) + (handles.length > 1 ? [", least", ", most"][i] : "")));
    const number = widget.querySelector(".widget-readout");
    if (number) number.setAttribute("role", "textbox");
    setLabel(number, `${text(widget)}, as a number`);
  }
  for (const input of root.querySelectorAll(".jupyter-widgets select, .jupyter-widgets input")) {
    if (!input.labels?.length || ![...input.labels].some((label) => label.textContent.trim())) {
      setLabel(input, text(input.closest(".jupyter-widgets")));
    }
  }
  for (const scroller of root.querySelectorAll(".wb-scroll")) scroller.tabIndex = 0;
}

function shiftHint({ target }) {
  if (!target.matches?.(".wb-term")) return;
  const edge = target.closest(".wb")?.getBoundingClientRect().right ?? innerWidth;
  const overflow = target.getBoundingClientRect().left + MAX_HINT_PX - edge;
  target.style.setProperty("--wb-shift", `${-Math.max(0, Math.ceil(overflow))}px`);
}

function showParsed({ target }) {
  if (!target.matches?.("input[type=number][step='1']")) return;
  const number = parseInt(target.value, 10);
  if (!Number.isNaN(number) && String(number) !== target.value) target.value = String(number);
}

function render({ model, el }) {
  let root = null;
  let timer = 0;
  const labelSoon = () => (timer ||= setTimeout(() => {
    timer = 0;
    labelControls(root);
  }, LABEL_DELAY_MS));
  const observer = new MutationObserver(labelSoon);
  requestAnimationFrame(function start() {
    root = el.closest(".wb");
    if (!root) return el.isConnected || requestAnimationFrame(start);
    if (!document.querySelector("main, [role=main]")) root.setAttribute("role", "main");
    labelControls(root);
    observer.observe(root, { childList: true, subtree: true });
    root.addEventListener("focusin", shiftHint);
    root.addEventListener("focusout", showParsed);
  });
  model.send({ kind: "built" });
  return () => {
    observer.disconnect();
    clearTimeout(timer);
    root?.removeEventListener("focusin", shiftHint);
    root?.removeEventListener("focusout", showParsed);
  };
}
export default { render };
