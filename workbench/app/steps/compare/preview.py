"""One picture in both networks, which follows the plan while it is changed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from traitlets import Bool, HasTraits, Instance, Int, Tuple, Unicode

from workbench.app.debounce import Debounce
from workbench.app.errors import sentence
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.worker import Job, JobKind, Worker
from workbench.inspect.gallery import Picture, gallery
from workbench.inspect.preview import Preview, preview
from workbench.network.data import Data, Split
from workbench.network.inputs import split_of
from workbench.network.network import Network
from workbench.plan.compressed import CompressedNetwork
from workbench.plan.plan import Plan
from workbench.progress import Progress
from workbench.recover.decompose import Made, decompose

DELAY_S = 0.15  # after the last change, until the picture is looked at anew
FLIPPED_IMAGES = 8  # pictures whose answer changed, at most


@dataclass(frozen=True, eq=False)
class Subject:
    """What a preview is of: networks, plan and images, as they were when it was asked for."""

    network: Network
    data: Data
    plan: Plan
    made: CompressedNetwork | None  # by this plan, and recovered
    known: Made

    @property
    def split(self) -> Split:
        """The images to choose from: those that score, if there are any."""
        return next(s for s in (self.data.test, self.data.validation, self.data.train) if len(s))

    def picture(self, index: int) -> Split:
        """Return one of the images."""
        place = torch.tensor([index])
        return Split(self.split.images[place], self.split.labels[place], self.split.name)

    def compressed(self, report: Progress) -> CompressedNetwork:
        """Return the compressed network, or else make it by the plan; `known` is what may be used."""
        return self.made or decompose(self.network, self.plan, known=self.known, progress=report)

    def factors(self) -> Made:
        """Return those of `known` that are of this plan."""
        wanted = {(part.name, part.rank_in, part.rank_out) for part in self.plan}
        return {key: module for key, module in self.known.items() if key in wanted}


class PreviewModel(HasTraits):
    """Holds the picture, and what the two networks make of it."""

    active = Bool(False)  # whether the user sees it; else nothing is computed
    index = Int(0)  # of the picture, in the images that score
    brought = Instance(Split, allow_none=True)  # a picture of the user's, in place of that
    found = Instance(Preview, allow_none=True)
    flipped = Tuple()  # pictures whose answer is another one by this plan, as far as they were searched
    stage = Unicode()  # what the compressed network is: "planned", or the stage of a run
    words = Unicode()  # what the last search has found, or why there is no preview

    def __init__(
        self, worker: Worker, choose: ChooseModel, look: LookModel, plan: PlanModel, recover: RecoverModel
    ) -> None:
        super().__init__()
        self._worker, self._choose, self._look, self._plan, self._recover = worker, choose, look, plan, recover
        self._job: Job | None = None
        self._shown: tuple[object, ...] = ()
        self._known: Made = {}  # factors of the open network's layers by the last plan
        later = Debounce(self._refresh, DELAY_S)
        choose.observe(self._reset, "opened")
        plan.observe(later, "plan")
        look.observe(later, "picked")
        recover.observe(later, "run")
        self.observe(later, ["index", "brought", "active"])

    def watch(self, seen: bool) -> None:
        """Follow the plan from now on, or no longer: whether the user sees the preview."""
        self.active = seen

    def step(self, change: int) -> None:
        """Show the next (1) or the previous (-1) picture."""
        subject = self._subject()
        if subject is not None:
            with self.hold_trait_notifications():
                self.brought, self.index = None, (self.index + change) % len(subject.split)

    def bring(self, file: Path, name: str) -> None:
        """Show a picture of the user's; ValueError says why it cannot be read."""
        network = self._choose.network
        if network is None:
            raise ValueError("open a network first")
        self.brought = split_of(network, file, name)

    def next_changed(self) -> Job | None:
        """Show the next picture whose answer is another one by this plan."""
        subject, here = self._subject(), self.index
        if subject is None:
            return None
        if self.flipped:
            self._show_next(here)
            return None

        def search(job: Job) -> tuple[int, tuple[Picture, ...]]:
            found = gallery(
                subject.network,
                subject.split,
                FLIPPED_IMAGES,
                compressed=subject.compressed(job.report),
                prefer_changed=True,
                classes=subject.data.classes,
                progress=job.report,
            )
            return found.looked_at, tuple(picture for picture in found.pictures if picture.changed)

        def show(found: tuple[int, tuple[Picture, ...]]) -> None:
            looked_at, pictures = found
            self._known = subject.factors()
            if self._plan.plan is subject.plan and self._choose.network is subject.network:
                self.flipped = pictures
                self.words = "" if pictures else f"All answers stay, on the {looked_at} images looked at."
                self._show_next(here)

        return self._worker.submit(JobKind.PREVIEW, "Looking for changed answers", search, show, short=True)

    def _show_next(self, here: int) -> None:
        places = [picture.index for picture in self.flipped]
        if places:
            with self.hold_trait_notifications():
                self.brought, self.index = None, places[(places.index(here) + 1) % len(places) if here in places else 0]

    def _reset(self, _: object = None) -> None:
        """Forget what was of another network or other images."""
        self._known, self._shown = {}, ()
        with self.hold_trait_notifications():
            self.index, self.brought, self.found, self.flipped, self.words = 0, None, None, (), ""
        self._refresh()

    def _subject(self) -> Subject | None:
        """Return what there is to look at, None if there is nothing."""
        network, data, plan = self._choose.network, self._choose.scored_data, self._plan.plan
        if network is None or data is None or plan is None or network.random_weights:
            return None
        if self._plan.spectra is not self._choose.spectra:  # the plan is still that of another network
            return None
        made = self._recover.compressed if self._recover.as_planned else None
        return Subject(network, data, plan, made, dict(self._known))

    def _refresh(self) -> None:
        subject = self._subject() if self.active else None
        if subject is None:
            return
        wanted = (subject.plan, subject.network, subject.made, self.brought, self.index, self._look.picked)
        before, self._shown = self._shown, wanted
        if before and before[4:] == wanted[4:] and all(a is b for a, b in zip(before[:4], wanted[:4], strict=True)):
            return
        if before and before[0] is not subject.plan:
            self.flipped, self.words = (), ""
        if self._job is not None:
            self._job.cancel()
        picture = self.brought or subject.picture(self.index)
        layer, run = self._look.picked, self._recover.run
        stage = str(run.last.name) if subject.made and run and run.last else "planned"

        def look(job: Job) -> tuple[Preview | None, str]:
            small = subject.compressed(job.report)
            try:
                return preview(small, picture, layer=layer, classes=subject.data.classes), ""
            except ValueError as error:  # such outputs are no answers
                return None, sentence(error)

        def show(found: tuple[Preview | None, str]) -> None:
            self._known = subject.factors()
            if self._shown is wanted:
                with self.hold_trait_notifications():
                    self.found, words = found
                    self.stage, self.words = stage, words or self.words

        self._job = self._worker.submit(JobKind.PREVIEW, "Looking at a picture", look, show, short=True)
