"""What is chosen and what is known: the one object behind all panels. No widgets."""

import copy
from dataclasses import dataclass, replace

from traitlets import HasTraits, Instance, Tuple, Unicode, observe

from workbench.app.jobs import Cancelled, Job
from workbench.catalog.datasets import data_names, load_data
from workbench.catalog.networks import bundled_names, load_network
from workbench.compression.data import Accuracy, Data, accuracy
from workbench.compression.decompose import decompose
from workbench.compression.finetune import Epoch, finetune
from workbench.compression.layers import measured_cost
from workbench.compression.network import Network
from workbench.compression.plan import Plan, PlanError
from workbench.compression.ranks import evbmf_plan
from workbench.compression.spectra import Spectra, analyze
from workbench.kernels.complexity import Cost


@dataclass(frozen=True)
class Result:
    """A network that exists, measured: a point on the trade-off plot.

    Attributes
    ----------
    number : which run it belongs to; 0 is the original network.
    stage : "original", "decomposed" or "fine-tuned".
    cost : weights and MACs, counted on the model itself.
    validation : score to choose by.
    test : score to report.
    about : how it came about, in words.
    """

    number: int
    stage: str
    cost: Cost
    validation: Accuracy
    test: Accuracy
    about: str

    @property
    def label(self) -> str:
        """Like "run 2, fine-tuned"."""
        return self.stage if self.number == 0 else f"run {self.number}, {self.stage}"


class State(HasTraits):
    """Everything a session knows. Panels observe its traits and call its verbs; tests do the same.

    Traits
    ------
    network, data, spectra, plan : what is open; None until it is.
    policy : which layers EVBMF plans: "default", "spatial" or "all".
    selected : name of the layer that is looked at.
    smaller : the newest compressed network, None before the first.
    results : every measured network of this session, the original first.
    curve : epochs of the current or last fine-tuning.
    notice : a sentence about the last edit that could not be made, or "".
    job : the work in the background.
    """

    network_name = Unicode()
    data_name = Unicode()
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
    job = Instance(Job)

    def __init__(self, network: Network | None = None, data: Data | None = None) -> None:
        super().__init__(job=Job())
        self._given = (network, data)
        self.network_name = network.name if network else bundled_names()[0]
        self.data_name = data.name if data else data_names()[0]

    @property
    def original(self) -> Result | None:
        """The original network's result, once it has been scored."""
        return self.results[0] if self.results else None

    @property
    def latest(self) -> Result | None:
        """The newest compressed network's result."""
        return self.results[-1] if len(self.results) > 1 else None

    @property
    def compressed_as_planned(self) -> bool:
        """Whether the newest compressed network is what the present plan describes."""
        if self.smaller is None or self.smaller.plan is None or self.plan is None:
            return False
        made = [(p.name, p.decision, p.rank_in, p.rank_out) for p in self.smaller.plan]
        return made == [(p.name, p.decision, p.rank_in, p.rank_out) for p in self.plan]

    def open(self) -> bool:
        """Load, analyse and score the chosen network, in the background."""
        return self.job.start(f"Opening {self.network_name}", self._open)

    def _open(self, job: Job) -> None:
        given_network, given_data = self._given
        network = given_network or load_network(self.network_name)
        data = given_data or load_data(self.data_name)
        spectra = analyze(network, progress=lambda share, name: job.report(0.8 * share, f"analysing {name}"))
        job.report(0.85, f"scoring {network.name} on {data.name}")
        original = Result(0, "original", *self._measure(network, data), about=network.source)
        busiest = max(spectra, key=lambda s: s.layer.cost.macs, default=None)
        self._later(
            network=network,
            data=data,
            spectra=spectra,
            plan=evbmf_plan(spectra, self.policy),
            smaller=None,
            curve=(),
            notice="",
            results=(original,),
            selected=busiest.layer.name if busiest else "",
        )

    def _later(self, **traits: object) -> None:
        """Set traits from within the work, all before anybody is told."""

        def change() -> None:
            with self.hold_trait_notifications():
                for name, value in traits.items():
                    self.set_trait(name, value)

        self.job.post(change)

    @staticmethod
    def _measure(network: Network, data: Data) -> tuple[Cost, Accuracy, Accuracy]:
        return measured_cost(network), accuracy(network, data.validation), accuracy(network, data.test)

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
        job.report(0.75, "scoring")
        number = max(result.number for result in self.results) + 1
        result = Result(number, "decomposed", *self._measure(smaller, self.data), about=plan.describe())
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
        result = Result(start.number, "fine-tuned", *self._measure(trained, self.data), about=about)
        self._later(smaller=trained, results=(*self.results, result))
        if stopped:
            raise Cancelled
