// Record the time of an input event on a slider, and the times at which the figure and the costs were painted.
(() => {
  const probe = { since: 0, painted: {}, plots: 0 };
  window.probe = probe;
  const figure = () => document.querySelector('.wb-figure[aria-label="Singular values"]');
  const parts = {
    card: () => document.querySelector(".wb-tiles"),
    row: () => document.querySelector(".wb-table tr.selected"),
    readout: () => document.querySelector(".wb-read")?.parentElement,
  };

  // A task queued in a frame runs after that frame has been painted.
  function notePaint(part) {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { probe.painted[part] = performance.now(); };
      channel.port2.postMessage(0);
    });
  }

  // Record the time of a key press, or of the last pointer move of a drag.
  const noteInput = (event) => {
    if (!event.target.closest?.(".noUi-target") && !probe.dragging) return;
    probe.since = event.timeStamp;
  };
  probe.reset = () => { probe.since = 0; probe.painted = {}; };
  document.addEventListener("keydown", noteInput, true);
  document.addEventListener("pointerdown", (event) => { probe.dragging = !!event.target.closest?.(".noUi-target"); }, true);
  document.addEventListener("pointermove", noteInput, true);
  document.addEventListener("pointerup", () => { probe.dragging = false; }, true);

  probe.watch = () => {
    const box = figure();
    if (probe.box !== box) {
      probe.box = box;
      box.on("plotly_afterplot", () => notePaint("figure"));
    }
    probe.observers?.forEach((observer) => observer.disconnect());
    probe.observers = Object.entries(parts).map(([part, find]) => {
      const observer = new MutationObserver(() => notePaint(part));
      const options = { childList: true, subtree: true, characterData: true };
      const target = part === "card" ? find().closest(".widget-html-content") : find();
      observer.observe(target, options);
      return observer;
    });
  };

  // Whether figure and table row show this rank; `side` is 0 for the input rank, 1 for the output rank.
  probe.shows = (side, rank) => {
    const title = probe.box?.layout.annotations[side]?.text ?? "";
    const ranks = parts.row()?.querySelector("[data-key=ranks]").textContent.split(" x ") ?? [];
    return title.includes(`>${rank} of `) && Number(ranks.at(side ? -1 : 0)) === rank;
  };

  // Milliseconds from the event to the last paint, once nothing was painted for `quiet` ms; else null.
  probe.settled = (side, rank, quiet) => {
    const { figure, row } = probe.painted;
    if (!probe.since || !(figure > probe.since) || !(row > probe.since) || !probe.shows(side, rank)) return null;
    const last = Math.max(...Object.values(probe.painted));
    return performance.now() - last < quiet ? null : last - probe.since;
  };
})();
