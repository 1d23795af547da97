"""What is chosen and what is known: the one object behind all panels. No widgets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from traitlets import Instance, Tuple, Unicode

from workbench.app.history import History
from workbench.app.jobs import Job
from workbench.app.steps.choose.opening import Choice, Opened, open_choice
from workbench.app.tasks import Tasks
from workbench.catalog.datasets.load import data_names
from workbench.catalog.networks.load import OWN, bundled_names, network_names
from workbench.network.data import Data
from workbench.network.network import Network

OPENING = "Opening"


class State(Tasks):
    """Everything a session knows; panels observe its traits and call its verbs, and tests do the same.

    Traits
    ------
    choice : what is open, or is to be, by name.
    networks : names of the networks to choose from; torchvision's join once it has been imported.
    warning : what one must know of how the network was opened, or "".
    """

    choice = Instance(Choice)
    networks = Tuple()
    warning = Unicode()

    def __init__(self, network: Network | None = None, data: Data | None = None) -> None:
        names = network.name if network else bundled_names()[0], data.name if data else data_names()[0]
        own = {"vgg16", *OWN, names[0]}
        super().__init__(choice=Choice(*names), networks=tuple(sorted(own)))
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
        self._history = History(opened.network.name, opened.data.name, opened.network.sha256 or opened.network.source)
        runs = self._history.runs()
        new = {} if same else self._fresh(opened)
        if not same:
            self._edits.forget()
        results = (opened.original,)
        self._later(data=opened.data, results=results, misfit=opened.misfit, smaller=None, number=0, curve=(), **new)
        self._later(runs=runs, unkept=self._history.problem)
        if before is None:  # only now, and beside everything else: importing torchvision takes a second
            job.beside(lambda: self._later(networks=tuple(sorted({*self.networks, *network_names()}))))

    def _fresh(self, opened: Opened) -> dict[str, object]:
        """Traits that change with the network."""
        plan, notice = self.planned(opened.spectra)
        busiest = max(opened.spectra, key=lambda s: s.layer.cost.macs, default=None)
        return {
            "network": opened.network,
            "spectra": opened.spectra,
            "plan": plan,
            "measured": None,
            "times": None,
            "notice": notice,
            "undoable": "",
            "redoable": "",
            "warning": opened.notice,
            "selected": busiest.layer.name if busiest else "",
        }
