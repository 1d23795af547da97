"""What is chosen and what is known: the one object behind all panels. No widgets."""

import copy
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

from traitlets import HasTraits, Instance, Tuple, Unicode, observe

from workbench.app.jobs import Cancelled, Job
from workbench.app.opening import Choice, Opened, open_choice
from workbench.app.results import Result, measure
from workbench.catalog.datasets import data_names
from workbench.catalog.networks import OWN, bundled_names, network_names
from workbench.compression.data import Data
from workbench.compression.decompose import decompose
from workbench.compression.finetune import Epoch, finetune
from workbench.compression.network import Network
from workbench.compression.plan import Plan, PlanError
from workbench.compression.ranks import evbmf_plan
from workbench.compression.spectra import Spectra

OPENING = "Opening"


class State(HasTraits):
    """Everything a session knows. Panels observe its traits and call its verbs; tests do the same.

    Traits
    ------
    choice : what is open, or is to be, by name.
    networks : names of the networks to choose from; torchvision's join once it has been imported.
    network, data, spectra, plan : what is open; None until it is.
    misfit : why the network cannot be scored on the data, in a sentence, or "".
    warning : what one must know of how the network was opened, or "".
    policy : which layers EVBMF plans: "default", "spatial" or "all".
    selected : name of the layer that is looked at.
    smaller : the newest compressed network, None before the first.
    results : every measured network of this session, the original first.
    curve : epochs of the current or last fine-tuning.
    notice : a sentence about the last edit that could not be made, or "".
    job : the work in the background.
    """

    choice = Instance(Choice)
    networks = Tuple()
    network = Instance(Network, allow_none=True)
    data = Instance(Data, allow_none=True)
    spectra = Instance(Spectra, allow_none=True)
    plan = Instance(Plan, allow_none=True)
    policy = Unicode("default")
    selected = Unicode()
    smaller = Instance(Network, allow_none=True)
    results = Tuple()
    curve = Tuple()
    notice = Unicode()
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
        """The newest compressed network's result."""
        return self.results[-1] if len(self.results) > 1 else None

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
        if before is not None and before.choice.data == choice.data:
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
            "plan": evbmf_plan(opened.spectra, self.policy),
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

    @observe("policy")
    def _replan(self, _: object) -> None:
        if self.spectra is not None and self.plan is not None:
            plan = evbmf_plan(self.spectra, self.policy)
            for part in self.plan:
                plan = plan.with_layer(part) if part.by_hand else plan  # what somebody chose stays chosen
            self.plan, self.notice = plan, ""

    def reset_plan(self) -> None:
        """Back to what EVBMF says of every layer."""
        if self.spectra is not None:
            self.plan, self.notice = evbmf_plan(self.spectra, self.policy), ""

    def reset_layer(self) -> None:
        """Back to what EVBMF says of the selected layer."""
        if self.plan is not None and self.spectra is not None and self.selected:
            self.plan = self.plan.with_layer(evbmf_plan(self.spectra, self.policy)[self.selected])
            self.notice = ""

    def choose_ranks(self, *, rank_in: int | None = None, rank_out: int | None = None) -> None:
        """Set ranks of the selected layer by hand; what cannot be is said in `notice`."""
        if self.plan is None:
            return
        try:
            self.plan = self.plan.with_ranks(self.selected, rank_in=rank_in, rank_out=rank_out)
            self.notice = ""
        except (PlanError, KeyError) as error:
            self.notice = str(error.args[0])

    def keep_layer(self) -> None:
        """Leave the selected layer as it is."""
        if self.plan is not None and self.selected:
            self.plan = self.plan.keep(self.selected)
            self.notice = ""

    def compress(self) -> bool:
        """Decompose by the present plan and score the result, in the background."""
        return self.job.start("Compressing", self._compress)

    def _compress(self, job: Job) -> None:
        if self.network is None or self.data is None or self.plan is None:
            raise ValueError("Open a network first")
        plan = self.plan
        smaller = decompose(self.network, plan, progress=lambda s, name: job.report(0.7 * s, f"factorising {name}"))
        number = max(result.number for result in self.results) + 1
        result, _ = measure(job.report, 0.7, smaller, self._scored_data, number, "decomposed", plan.describe())
        self._later(smaller=smaller, curve=(), results=(*self.results, result))

    def finetune(self, *, epochs: int, learning_rate: float) -> bool:
        """Fine-tune the newest compressed network in the background; what was there stays until it ends."""
        run = f" run {self.latest.number}" if self.latest else ""
        return self.job.start(f"Fine-tuning{run}", lambda job: self._finetune(job, epochs, learning_rate))

    def _finetune(self, job: Job, epochs: int, learning_rate: float) -> None:
        start = self.latest
        if self.smaller is None or self.data is None or start is None:
            raise ValueError("compress the network first: there is nothing to fine-tune yet")
        trained = replace(self.smaller, model=copy.deepcopy(self.smaller.model))
        curve: tuple[Epoch, ...] = ()
        earlier = self.curve
        self._later(curve=curve)
        job.report(0.0, f"epoch 1 of {epochs}")
        try:
            for epoch in finetune(
                trained,
                self.data,
                epochs=epochs,
                learning_rate=learning_rate,
                cancelled=job.cancelled,
                progress=lambda share: job.tell(0.98 * share),
            ):
                curve = (*curve, epoch)
                self._later(curve=curve)
                if epoch.epoch < epochs:
                    job.tell(0.98 * epoch.epoch / epochs, f"epoch {epoch.epoch + 1} of {epochs}")
            if not curve:
                raise Cancelled  # not one whole epoch
        except (ValueError, Cancelled):
            self._later(curve=earlier)  # the network stays what it was, and so does what is shown of it
            raise
        stopped = f", cancelled after epoch {len(curve)} of {epochs}" if len(curve) < epochs else ""
        about = f"{start.about}; {len(curve)} epochs of fine-tuning from learning rate {learning_rate:g}{stopped}"
        result, _ = measure(job.tell, 0.98, trained, self._scored_data, start.number, "fine-tuned", about)
        self._later(smaller=trained, results=(*self.results, result))
        if stopped:
            raise Cancelled
