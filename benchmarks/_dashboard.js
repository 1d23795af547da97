// Notes when the hand moves a slider, and when what follows from it has been painted: the figure, the costs.
(() => {
  const hand = { since: 0, painted: {}, plots: 0 };
  window.hand = hand;
  const figure = () => document.querySelector('.wb-figure[aria-label="Singular values"]');
  const parts = {
    card: () => document.querySelectorAll(".wb-figures")[1],
    row: () => document.querySelector(".wb-table tr.selected"),
    readout: () => document.querySelector(".wb-read")?.parentElement,
  };

  // After the frame that shows it: a task that is queued in the frame runs once it has been handed to the screen.
  function note(part) {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { hand.painted[part] = performance.now(); };
      channel.port2.postMessage(0);
    });
  }

  // Only the first event of a move counts as the hand's, unless it goes on: then its last.
  const begin = (event) => {
    if (!event.target.closest?.(".noUi-target") && !hand.dragging) return;
    hand.since = event.timeStamp;
  };
  hand.reset = () => { hand.since = 0; hand.painted = {}; };
  document.addEventListener("keydown", begin, true);
  document.addEventListener("pointerdown", (event) => { hand.dragging = !!event.target.closest?.(".noUi-target"); }, true);
  document.addEventListener("pointermove", begin, true);
  document.addEventListener("pointerup", () => { hand.dragging = false; }, true);

  hand.watch = () => {
    const box = figure();
    if (hand.box !== box) {
      hand.box = box;
      box.on("plotly_afterplot", () => note("figure"));
    }
    hand.observers?.forEach((one) => one.disconnect());
    hand.observers = Object.entries(parts).map(([part, find]) => {
      const observer = new MutationObserver(() => note(part));
      const options = { childList: true, subtree: true, characterData: true };
      const where = part === "card" ? find().closest(".widget-html-content, .wb-card") : find();
      observer.observe(where, options);
      return observer;
    });
  };

  // Whether figure and row show this rank; `which` is 0 for the input channels, 1 for the output channels.
  hand.shows = (which, rank) => {
    const title = hand.box?.layout.annotations[which]?.text ?? "";
    const ranks = parts.row()?.innerText.split("\t").at(-4)?.trim().split(" x ") ?? [];
    return title.includes(`>${rank} of `) && Number(ranks.at(which ? -1 : 0)) === rank;
  };

  // Milliseconds from the hand to the last of what was painted, once nothing has followed for a while; else null.
  hand.settled = (which, rank, quiet) => {
    const { figure, row } = hand.painted;
    if (!hand.since || !(figure > hand.since) || !(row > hand.since) || !hand.shows(which, rank)) return null;
    const last = Math.max(...Object.values(hand.painted));
    return performance.now() - last < quiet ? null : last - hand.since;
  };
})();
