"""How accuracy falls with the rank of one layer, measured when somebody asks. No widgets."""

from traitlets import HasTraits, Instance, Tuple, Unicode

from workbench.app.jobs import Job
from workbench.app.state import State
from workbench.inspect.rank_curve import sensitivity


class RankCurve(HasTraits):
    """The curve of the layer that was picked when it was asked for.

    Traits
    ------
    layer : its name, "" before the first.
    points : of :func:`~workbench.inspect.rank_curve.sensitivity`.
    job : the measuring.
    """

    layer = Unicode()
    points = Tuple()
    job = Instance(Job)

    def __init__(self, state: State) -> None:
        super().__init__(job=Job())
        self._state = state
        state.observe(self._forget, ["network", "data"])

    def measure(self) -> bool:
        """Measure the selected layer, in the background; False if something is being measured already."""
        layer = self._state.selected
        return self.job.start(f"Trying ranks of {layer}", lambda job: self._measure(job, layer))

    def _measure(self, job: Job, layer: str) -> None:
        state = self._state
        if state.network is None or state.spectra is None or state.data is None or state.misfit or not layer:
            raise ValueError(state.misfit or "open a network and pick a layer first")
        split = state.data.validation if len(state.data.validation) else state.data.train
        if not len(split):
            raise ValueError(f"{state.data.name} has test images only, and those are for the score")
        points = sensitivity(
            state.network, split, layer, state.spectra, progress=lambda share, _: job.report(share, "")
        )
        job.post(lambda: self._set(layer, tuple(points)))

    def _set(self, layer: str, points: tuple[object, ...]) -> None:
        with self.hold_trait_notifications():
            self.layer, self.points = layer, points

    def _forget(self, _: object) -> None:
        self._set("", ())
