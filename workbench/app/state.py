"""What is chosen and what is known: the one object behind all panels. No widgets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

from traitlets import Instance, Tuple, Unicode

from workbench.app.jobs import Cancelled, Job
from workbench.app.opening import Choice, Opened, open_choice
from workbench.app.planning import Planned
from workbench.app.recovery import Bench, Stage, Training, calibration_images
from workbench.app.results import Result
from workbench.catalog.datasets import data_names
from workbench.catalog.networks import OWN, bundled_names, network_names
from workbench.compression.data import Data
from workbench.compression.network import Network
from workbench.compression.sensitivities import sensitivities

OPENING = "Opening"
SENSED = 48
"""Images on which the layers are compared."""


class State(Planned):
    """Everything a session knows, the plan included. Panels observe its traits and call its verbs; tests do the same.

    Traits
    ------
    choice : what is open, or is to be, by name.
    networks : names of the networks to choose from; torchvision's join once it has been imported.
    network, data : what is open; None until it is.
    misfit : why the network cannot be scored on the data, in a sentence, or "".
    warning : what one must know of how the network was opened, or "".
    smaller : the newest compressed network, None before the first.
    results : every measured network of this session, the original first.
    curve : epochs of the current or last fine-tuning.
    job : the work in the background.
    """

    choice = Instance(Choice)
    networks = Tuple()
    network = Instance(Network, allow_none=True)
    data = Instance(Data, allow_none=True)
    smaller = Instance(Network, allow_none=True)
    results = Tuple()
    curve = Tuple()
    misfit = Unicode()
    warning = Unicode()
    job = Instance(Job)

    def __init__(self, network: Network | None = None, data: Data | None = None) -> None:
        names = network.name if network else bundled_names()[0], data.name if data else data_names()[0]
        own = {"vgg16", *OWN, names[0]}
        super().__init__(job=Job(), choice=Choice(*names), networks=tuple(sorted(own)))
        self._given: dict[str, Network | Data | None] = {"network": network, "data": data}
        self._opened: Opened | None = None
        self._next: Choice | None = None
        self.job.observe(self._go_on, ["running"])

    def given(self, what: str, name: str) -> Network | Data | None:
        """The network or the data of that name, if they were given in code."""
        found = self._given[what]
        return found if found is not None and found.name == name else None

    @property
    def opening(self) -> bool:
        """Whether something is being opened."""
        return self.job.running and self.job.title.startswith(OPENING)

    @property
    def original(self) -> Result | None:
        """The original network's result, once it has been scored."""
        return self.results[0] if self.results else None

    @property
    def latest(self) -> Result | None:
        """The newest compressed network's result; the baseline from scratch is another network's."""
        return next((r for r in reversed(self.results) if r.number and r.stage != "from scratch"), None)

    @property
    def _scored_data(self) -> Data | None:
        """The data, unless the network cannot be scored on them."""
        return None if self.misfit else self.data

    @property
    def untrainable(self) -> str:
        """Why nothing can be fine-tuned on these data, in a sentence, or ""."""
        if self.misfit or self.data is None:
            return self.misfit or "No data are open."
        return "" if len(self.data.train) else f"{self.data.name} has none. Choose other data."

    @property
    def trainable(self) -> bool:
        """Whether there are images to fine-tune on."""
        return not self.untrainable

    @property
    def calibratable(self) -> bool:
        """Whether there are images to calibrate with: not those for the score."""
        data = self.data
        return data is not None and not self.misfit and bool(len(data.train) or len(data.validation))

    @property
    def compressed_as_planned(self) -> bool:
        """Whether the newest compressed network is what the present plan describes."""
        if self.smaller is None or self.smaller.plan is None or self.plan is None:
            return False
        made = [(p.name, p.decision, p.rank_in, p.rank_out) for p in self.smaller.plan]
        return made == [(p.name, p.decision, p.rank_in, p.rank_out) for p in self.plan]

    def open(self, **changes: str | Path | None) -> bool:
        """Load, analyse and score a network on data, in the background; what is open stays until that has worked.

        Parameters
        ----------
        changes : fields of :class:`Choice`. Another network comes with its default weights. What is being opened
            at this moment is given up for it; other work is not, and the answer is then False.
        """
        if "network" in changes:
            changes = {"weights": "default", "file": None, **changes}
        choice = replace(self.choice, **changes)  # type: ignore[arg-type]
        if self.job.running and not self.opening:
            return False
        self.choice = choice
        if self.job.running:  # somebody has thought better of it
            self._next = choice
            self.job.cancel()
            return True
        return self.job.start(f"{OPENING} {choice.network}", self._open)

    def _go_on(self, _: object) -> None:
        """Open what was chosen while something else was being opened."""
        if not self.job.running and self._next is not None:
            self.choice, self._next = self._next, None
            self.open()

    def _open(self, job: Job) -> None:
        choice, before = self.choice, self._opened
        same = before is not None and before.choice == replace(choice, data=before.choice.data)
        known: Any = before if same else self.given("network", choice.network) if choice.file is None else None
        data: Any = self.given("data", choice.data)
        # a folder's classes are those of the network, so that another network reads it anew
        kept = before is not None and (choice.network == before.choice.network or choice.data in data_names())
        if before is not None and kept and before.choice.data == choice.data:
            data = before.data
        try:
            opened = open_choice(job, choice, known, data)
        except BaseException:
            if before is not None:
                self._later(choice=before.choice)  # still what is open
            raise
        self._opened = opened
        new = {} if same else self._fresh(opened)
        results = (opened.original,)
        self._later(data=opened.data, results=results, misfit=opened.misfit, smaller=None, curve=(), **new)
        if before is None:  # only now, and beside everything else: importing torchvision takes a second
            Thread(target=lambda: self._later(networks=tuple(sorted({*self.networks, *network_names()})))).start()

    def _fresh(self, opened: Opened) -> dict[str, object]:
        """Traits that change with the network."""
        busiest = max(opened.spectra, key=lambda s: s.layer.cost.macs, default=None)
        return {
            "network": opened.network,
            "spectra": opened.spectra,
            "plan": self.planned(opened.spectra),
            "measured": None,
            "notice": "",
            "warning": opened.notice,
            "selected": busiest.layer.name if busiest else "",
        }

    def _later(self, **traits: object) -> None:
        """Set traits from within the work, all before anybody is told."""

        def change() -> None:
            with self.hold_trait_notifications():
                for name, value in traits.items():
                    self.set_trait(name, value)

        self.job.post(change)

    def measure_layers(self) -> bool:
        """Find out, in the background, what each layer's ranks cost in the outputs, for budgets."""

        def work(bench: Bench) -> None:
            if self.spectra is None:
                raise ValueError("open a network first")
            images = calibration_images(bench.data, SENSED)
            report = bench.job.report
            found = sensitivities(
                bench.original, images, self.spectra, progress=lambda share, name: report(share, f"measuring {name}")
            )
            self._later(measured=found)

        return self._start("Measuring layers", work)

    def compress(self) -> bool:
        """Decompose by the present plan and score the result, in the background."""
        plan = self.plan

        def work(bench: Bench) -> None:
            if plan is None:
                raise ValueError("open a network first")
            self._later(curve=(), **self._with(bench.decompose(plan, self._next_number())))

        return self._start("Compressing", work)

    def calibrate(self) -> bool:
        """Refit the newest compressed network's layers on images without labels, in the background."""
        start = self._newest()

        def work(bench: Bench) -> None:
            if start is None:
                raise ValueError("compress the network first: there is nothing to calibrate yet")
            self._later(**self._with(bench.calibrate(start)))

        return self._start(f"Calibrating{self._run}", work)

    def finetune(self, training: Training | None = None, **settings: Any) -> bool:
        """Train the newest compressed network in the background; what was there stays until it ends.

        Parameters
        ----------
        training : all settings, or some of them by name.
        """
        training = replace(training or Training(), **settings)

        def work(bench: Bench, start: Stage) -> None:
            stage, stopped = bench.train(start, training, lambda curve: self._later(curve=curve))
            self._later(**self._with(stage))
            if stopped:
                raise Cancelled

        return self._train(f"Fine-tuning{self._run}", work)

    def from_scratch(self, training: Training | None = None, **settings: Any) -> bool:
        """Train the same architecture from Gaussian initialisation; the compressed network stays what it is."""
        training = replace(training or Training(), **settings)

        def work(bench: Bench, start: Stage) -> None:
            stage, stopped = bench.from_scratch(start, training, lambda curve: self._later(curve=curve))
            self._later(results=(*self.results, stage.result))
            if stopped:
                raise Cancelled

        return self._train(f"Training from scratch{self._run}", work)

    def _train(self, title: str, work: Callable[[Bench, Stage], None]) -> bool:
        start, earlier = self._newest(), self.curve

        def trained(bench: Bench) -> None:
            if start is None:
                raise ValueError("compress the network first: there is nothing to fine-tune yet")
            count = len(self.results)
            self._later(curve=())
            try:
                work(bench, start)
            except (ValueError, Cancelled):
                # the network stays what it was, and so does what is shown of it
                bench.job.post(lambda: self.set_trait("curve", earlier) if len(self.results) == count else None)
                raise

        return self._start(title, trained)

    def _start(self, title: str, work: Callable[[Bench], None]) -> bool:
        def run(job: Job) -> None:
            if self.network is None or self.data is None:
                raise ValueError("open a network first")
            work(Bench(job, self.network, self.data, self._scored_data))

        return self.job.start(title, run)

    @property
    def _run(self) -> str:
        return f" run {self.latest.number}" if self.latest else ""

    def _newest(self) -> Stage | None:
        return Stage(self.smaller, self.latest) if self.smaller is not None and self.latest is not None else None

    def _next_number(self) -> int:
        return max((result.number for result in self.results), default=0) + 1

    def _with(self, stage: Stage) -> dict[str, object]:
        return {"smaller": stage.network, "results": (*self.results, stage.result)}
