"""The paper's table beside what is open: computed in the background, when somebody wants to see it. No widgets."""

from traitlets import Bool, Enum, HasTraits, Instance, Unicode, observe

from workbench.app.jobs import Job
from workbench.app.state import State
from workbench.catalog.paper.table import PaperTable, paper_table
from workbench.plan.evbmf import CHOICES


class Paper(HasTraits):
    """The table, for a choice of layers; it does not follow the state, whose networks may take minutes.

    Traits
    ------
    layers, fully_connected : which layers of the open network are compressed in the table.
    table : what was computed last; None before.
    note : which network fills its row, or why none does, in a sentence.
    job : the computing.
    """

    layers = Enum(list(CHOICES), default_value="spatial")
    fully_connected = Bool(False)
    table = Instance(PaperTable, allow_none=True)
    note = Unicode()
    job = Instance(Job)

    def __init__(self, state: State) -> None:
        super().__init__(job=Job())
        self._state = state

    @observe("layers")
    def _as_the_choice_says(self, _: object) -> None:
        self.fully_connected = self.layers != "spatial"

    def compute(self) -> bool:
        """Make the table anew, in the background; False if that is going on already."""
        return self.job.start("Computing the table", self._compute)

    def _compute(self, job: Job) -> None:
        state, network = self._state, self._state.network
        split = state.data.test if state.data is not None and not state.misfit and len(state.data.test) else None
        networks = [network] if network is not None and not network.random_weights else []
        if network is None:
            note = "Only the originals: no network is open."
        elif not networks:
            note = f"Only the originals: {network.name} has random weights. Upload real ones to compress it here."
        elif split is None:
            note = f"{network.name} is compressed here; there are no images that fit it, so there is no accuracy."
        else:
            note = f"{network.name} is compressed and scored here on {len(split)} images."
        table = paper_table(
            networks, split, layers=self.layers, fully_connected=self.fully_connected, progress=job.report
        )
        job.post(lambda: self._set(table, note))

    def _set(self, table: PaperTable, note: str) -> None:
        with self.hold_trait_notifications():
            self.table, self.note = table, note
