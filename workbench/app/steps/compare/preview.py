"""One picture in both networks, which follows the plan while it is changed."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from traitlets import Bool, HasTraits, Instance, Int, Tuple, Unicode

from workbench.app.debounce import Debounce
from workbench.app.errors import naming, sentence
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import images_to_show
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
from workbench.plan.spectrum import analysis_macs
from workbench.progress import Progress
from workbench.recover.decompose import FactorCache, decompose

DELAY_S = 0.3  # after the last change, until the picture is looked at anew
FLIPPED_IMAGES = 8  # pictures whose answer changed, at most
MAX_DECOMPOSED_MACS = 1e11  # multiply-adds to decompose the network for a preview: about 3 s on one core
TOO_LARGE = "Decomposing this network takes a while: the picture appears once you decompose it."


@dataclass(frozen=True)
class Subject:
    """What a preview is of: networks, images and a picture, as they were when it was asked for."""

    network: Network
    data: Data
    plan: Plan
    made: CompressedNetwork | None  # by this plan, and recovered
    stage: str
    brought: Split | None
    index: int
    layer: str
    known: FactorCache = field(compare=False)  # factors by the last plan; used by the worker only

    @property
    def networks(self) -> tuple[object, ...]:
        """The two networks and their images."""
        return self.network, self.data, self.plan, self.made

    @property
    def split(self) -> Split:
        """The images to choose from."""
        return images_to_show(self.data)

    @property
    def too_large(self) -> bool:
        """Whether a compressed network would have to be made for it, which takes long."""
        work = (analysis_macs(part.layer) for part in self.plan if part.decision != "keep")
        return self.made is None and sum(work) > MAX_DECOMPOSED_MACS

    def picture(self) -> Split:
        """Return the picture, from its file if need be."""
        place = torch.tensor([self.index])
        return self.brought or Split(self.split.images[place], self.split.labels[place], self.split.name)

    def compressed(self, report: Progress) -> CompressedNetwork:
        """Return the compressed network, or else make it by the plan; factors of this plan alone stay known."""
        small = self.made or decompose(self.network, self.plan, known=self.known, progress=report)
        wanted = {(part.name, part.rank_in, part.rank_out) for part in self.plan}
        for key in self.known.keys() - wanted:
            del self.known[key]
        return small


class PreviewModel(HasTraits):
    """Holds the picture, and what the two networks make of it."""

    active = Bool(False)  # whether the user sees it; else nothing is computed
    index = Int(0)  # of the picture, in the images that score
    brought = Instance(Split, allow_none=True)  # a picture of the user's, in place of that
    found = Instance(Preview, allow_none=True)
    problem = Unicode()  # why there is none
    stage = Unicode()  # what the compressed network is: "planned", or the stage of a run
    current = Bool(False)  # whether these three are of the present networks, picture and layer
    flipped = Tuple()  # pictures whose answer is another one, as far as they were searched
    words = Unicode()  # what that search has found

    def __init__(
        self, worker: Worker, choose: ChooseModel, look: LookModel, plan: PlanModel, recover: RecoverModel
    ) -> None:
        super().__init__()
        self._worker, self._choose, self._look, self._plan, self._recover = worker, choose, look, plan, recover
        self._wanted: Subject | None = None
        self._job: Job | None = None  # that looks at it
        self._search: Job | None = None
        self._known: FactorCache = {}  # see `Subject`
        self._later = Debounce(self._refresh, DELAY_S)
        choose.observe(self._reset, "opened")
        plan.observe(self._changed, "plan")
        look.observe(self._changed, "picked")
        recover.observe(self._changed, "run")
        self.observe(self._changed, ["index", "brought", "active"])

    def watch(self, seen: bool) -> None:
        """Follow the plan from now on, or no longer: whether the user sees the preview."""
        self.active = seen

    def step(self, change: int) -> None:
        """Show the next (1) or the previous (-1) picture."""
        if self._wanted is not None:
            with self.hold_trait_notifications():
                self.brought, self.index = None, (self.index + change) % len(self._wanted.split)

    def bring(self, file: Path, name: str) -> None:
        """Show a picture of the user's; ValueError says why it cannot be read."""
        network = self._choose.network
        if network is None:
            raise ValueError("open a network first")
        with naming(file, name):
            self.brought = split_of(network, file, name)

    def next_changed(self) -> Job | None:
        """Show the next picture whose answer is another one in the compressed network."""
        subject = self._wanted
        if subject is None or self.flipped:
            self._show_next()
            return None
        if self._search is not None and self._search.active:
            return self._search

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
            if self._wanted is not None and self._wanted.networks == subject.networks:
                looked_at, self.flipped = found
                self.words = "" if self.flipped else f"All answers stay, on the {looked_at} images looked at."
                self._show_next()

        title = "Looking for changed answers"
        self._search = self._worker.submit(JobKind.PREVIEW, title, search, show, short=True)
        return self._search

    def _show_next(self) -> None:
        places = [picture.index for picture in self.flipped]
        if places:
            at = places.index(self.index) + 1 if self.index in places else 0
            with self.hold_trait_notifications():
                self.brought, self.index = None, places[at % len(places)]

    def _reset(self, _: object = None) -> None:
        """Forget what was of another network or other images."""
        self._known, self._wanted = {}, None
        with self.hold_trait_notifications():
            self.index, self.brought, self.found, self.problem, self.current = 0, None, None, "", False
        self._changed()

    def _subject(self) -> Subject | None:
        """Return what there is to look at, None if there is nothing."""
        network, data, plan, run = self._choose.network, self._choose.scored_data, self._plan.plan, self._recover.run
        if network is None or data is None or plan is None or network.random_weights:
            return None
        if plan.spectra is not self._choose.spectra:  # the plan is still that of another network
            return None
        made = run.network if run is not None and self._recover.as_planned else None
        stage = str(run.last.name) if made is not None and run is not None and run.last is not None else "planned"
        return Subject(network, data, plan, made, stage, self.brought, self.index, self._look.picked, self._known)

    def _changed(self, _: object = None) -> None:
        """Give up what is being computed, if something else is wanted now; look at that after the last change."""
        before, now = self._wanted, self._subject()
        if now is None or before != now:
            self._wanted, self.current = now, False
            if self._job is not None:
                self._job.cancel()
                self._job = None
            if before is None or now is None or before.networks != now.networks:
                self.flipped, self.words = (), ""
                if self._search is not None:
                    self._search.cancel()
        self._later()

    def _refresh(self) -> None:
        subject = self._wanted
        if subject is None or not self.active or self.current or (self._job is not None and self._job.active):
            return

        def look(job: Job) -> tuple[Preview | None, str]:
            try:
                small = subject.compressed(job.report)
                return preview(small, subject.picture(), layer=subject.layer, classes=subject.data.classes), ""
            except (ValueError, OSError) as error:  # of the picture, or of outputs that hold no numbers
                return None, sentence(error)

        def show(found: tuple[Preview | None, str]) -> None:
            if self._wanted is subject:
                with self.hold_trait_notifications():
                    self.found, self.problem = found
                    self.stage, self.current = subject.stage, True

        if subject.too_large:
            show((None, TOO_LARGE))
        else:
            self._job = self._worker.submit(JobKind.PREVIEW, "Looking at a picture", look, show, short=True)
