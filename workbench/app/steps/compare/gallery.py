"""Which pictures are shown and what the networks say of them: looked up in the background. No widgets."""

from typing import Any

from traitlets import Bool, HasTraits, Instance, Int, Unicode

from workbench.app.jobs import Job, sentence
from workbench.app.state import State
from workbench.inspect.gallery import Filters, Gallery, first_filters, gallery

COUNT = 12


class Pictures(HasTraits):
    """A sample of test images with the answers before and after, and the first filters; it follows a state.

    Traits
    ------
    seed : which sample.
    changed_first : whether to look among more images for answers that have changed.
    gallery, filters : what was found; None until it is, and where there is nothing to show.
    no_filters : why there are none, in a sentence, or "".
    job : the looking.
    """

    seed = Int(0)
    changed_first = Bool(False)
    gallery = Instance(Gallery, allow_none=True)
    filters = Instance(Filters, allow_none=True)
    no_filters = Unicode()
    job = Instance(Job)

    def __init__(self, state: State) -> None:
        super().__init__(job=Job())
        self._state = state
        self._stale = False
        state.observe(self.refresh, ["network", "data", "smaller", "misfit"])
        self.observe(self.refresh, ["seed", "changed_first"])
        self.job.observe(self._again, ["running"])

    def refresh(self, _: object = None) -> None:
        """Look again, in the background; what is being looked for at this moment is given up."""
        if self.job.running:
            self._stale = True
            self.job.cancel()
        else:
            self.job.start("Looking at images", self._look)

    def _again(self, _: object) -> None:
        if self._stale and not self.job.running:
            self._stale = False
            self.refresh()

    def _look(self, job: Job) -> None:
        state, found = self._state, dict[str, Any](gallery=None, filters=None, no_filters="")
        network, smaller, data = state.network, state.smaller, state.data
        if network is not None and data is not None and not state.misfit:
            found["gallery"] = gallery(
                network,
                smaller,
                data.test if len(data.test) else data.validation,
                COUNT,
                self.seed,
                prefer_changed=self.changed_first and smaller is not None,
                classes=data.classes,
                progress=lambda share: job.report(share, ""),
            )
        if network is not None and smaller is not None:
            try:
                found["filters"] = first_filters(network, smaller)
            except ValueError as error:
                found["no_filters"] = sentence(error)
        job.post(lambda: self._set(found))

    def _set(self, found: dict[str, Any]) -> None:
        with self.hold_trait_notifications():
            for name, value in found.items():
                self.set_trait(name, value)
