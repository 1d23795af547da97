"""One picture in the original and the compressed network, computed again whenever the plan changes."""

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

DELAY_S = 0.3  # between the last change and the computation of the preview
FLIPPED_IMAGES = 8  # most pictures with a changed answer that a search returns
MAX_DECOMPOSED_MACS = 1e11  # multiply-adds to decompose the network for a preview: about 3 s on one core
TOO_LARGE = "Decomposing this network takes a while: the picture appears once you decompose it."


@dataclass(frozen=True)
class PreviewInputs:
    """Inputs of a preview: networks, images, picture and layer."""

    network: Network
    data: Data
    plan: Plan
    run_network: CompressedNetwork | None  # of the current run, if that has this plan
    stage: str
    brought: Split | None  # the user's picture, instead of the one at `index`
    index: int
    layer: str
    factors: FactorCache = field(compare=False)  # of the layers by the last plan; only the worker's thread uses them

    @property
    def networks(self) -> tuple[object, ...]:
        """Both networks and their images."""
        return self.network, self.data, self.plan, self.run_network

    @property
    def split(self) -> Split:
        """The images that `index` counts."""
        return images_to_show(self.data)

    @property
    def too_large(self) -> bool:
        """Whether the network has to be decomposed for the preview, and that takes too long."""
        macs = (analysis_macs(part.layer) for part in self.plan if part.decision != "keep")
        return self.run_network is None and sum(macs) > MAX_DECOMPOSED_MACS

    def picture(self) -> Split:
        """Return the picture; this may read a file."""
        index = torch.tensor([self.index])
        return self.brought or Split(self.split.images[index], self.split.labels[index], self.split.name)

    def compressed(self, report: Progress) -> CompressedNetwork:
        """Return the run's network or else decompose by the plan; of `factors`, keep those of this plan."""
        compressed = self.run_network or decompose(self.network, self.plan, known=self.factors, progress=report)
        planned = {(part.name, part.rank_in, part.rank_out) for part in self.plan}
        for key in self.factors.keys() - planned:
            del self.factors[key]
        return compressed


class PreviewModel(HasTraits):
    """Holds the picture, and the preview of both networks on it."""

    active = Bool(False)  # whether the user sees the preview; else nothing is computed
    index = Int(0)  # of the picture in the images that score
    brought = Instance(Split, allow_none=True)  # the user's picture, instead of the one at `index`
    found = Instance(Preview, allow_none=True)  # the last preview
    problem = Unicode()  # why there is no preview, or ""
    stage = Unicode()  # of the compressed network in the preview: "planned", or the stage of a run
    current = Bool(False)  # whether these three belong to the current networks, picture and layer
    flipped = Tuple()  # pictures with a changed answer that the last search has found
    words = Unicode()  # a sentence if that search has found none, or ""

    def __init__(
        self, worker: Worker, choose: ChooseModel, look: LookModel, plan: PlanModel, recover: RecoverModel
    ) -> None:
        super().__init__()
        self._worker, self._choose, self._look, self._plan, self._recover = worker, choose, look, plan, recover
        self._inputs: PreviewInputs | None = None
        self._job: Job | None = None  # computes the preview
        self._search: Job | None = None
        self._factors: FactorCache = {}  # see `PreviewInputs`
        self._refresh_later = Debounce(self._refresh, DELAY_S)
        choose.observe(self._reset, "opened")
        plan.observe(self._update_inputs, "plan")
        look.observe(self._update_inputs, "picked")
        recover.observe(self._update_inputs, "run")
        self.observe(self._update_inputs, ["index", "brought", "active"])

    def watch(self, seen: bool) -> None:
        """Start or stop to compute previews: whether the user sees them."""
        self.active = seen

    def step(self, change: int) -> None:
        """Show the next (1) or the previous (-1) picture."""
        if self._inputs is not None:
            with self.hold_trait_notifications():
                self.brought, self.index = None, (self.index + change) % len(self._inputs.split)

    def bring(self, file: Path, name: str) -> None:
        """Show the user's picture; raise ValueError, saying why, if it cannot be read."""
        network = self._choose.network
        if network is None:
            raise ValueError("open a network first")
        with naming(file, name):
            self.brought = split_of(network, file, name)

    def next_changed(self) -> Job | None:
        """Show the next picture that the compressed network answers differently; search for some if none are known."""
        inputs = self._inputs
        if inputs is None or self.flipped:
            self._show_next()
            return None
        if self._search is not None and self._search.active:
            return self._search

        def search(job: Job) -> tuple[int, tuple[Picture, ...]]:
            pictures = gallery(
                inputs.network,
                inputs.split,
                FLIPPED_IMAGES,
                compressed=inputs.compressed(job.report),
                prefer_changed=True,
                classes=inputs.data.classes,
                progress=job.report,
            )
            return pictures.looked_at, tuple(picture for picture in pictures.pictures if picture.changed)

        def done(result: tuple[int, tuple[Picture, ...]]) -> None:
            if self._inputs is not None and self._inputs.networks == inputs.networks:
                looked_at, self.flipped = result
                self.words = "" if self.flipped else f"All answers stay, on the {looked_at} images looked at."
                self._show_next()

        title = "Looking for changed answers"
        self._search = self._worker.submit(JobKind.PREVIEW, title, search, done, short=True)
        return self._search

    def _show_next(self) -> None:
        indices = [picture.index for picture in self.flipped]
        if indices:
            position = indices.index(self.index) + 1 if self.index in indices else 0
            with self.hold_trait_notifications():
                self.brought, self.index = None, indices[position % len(indices)]

    def _reset(self, _: object = None) -> None:
        """Drop the preview of another network or other images."""
        self._factors, self._inputs = {}, None
        with self.hold_trait_notifications():
            self.index, self.brought, self.found, self.problem, self.current = 0, None, None, "", False
        self._update_inputs()

    def _current_inputs(self) -> PreviewInputs | None:
        """Return the current inputs of a preview; None if there can be none."""
        network, data, plan, run = self._choose.network, self._choose.scored_data, self._plan.plan, self._recover.run
        if network is None or data is None or plan is None or network.random_weights:
            return None
        if plan.spectra is not self._choose.spectra:  # the plan is still that of another network
            return None
        compressed = run.network if run is not None and self._recover.as_planned else None
        stage = str(run.last.name) if compressed is not None and run is not None and run.last is not None else "planned"
        picture = (self.brought, self.index, self._look.picked)
        return PreviewInputs(network, data, plan, compressed, stage, *picture, self._factors)

    def _update_inputs(self, _: object = None) -> None:
        """Cancel the preview and the search if their inputs have changed; compute a new preview after a delay."""
        previous, inputs = self._inputs, self._current_inputs()
        if inputs is None or previous != inputs:
            self._inputs, self.current = inputs, False
            if self._job is not None:
                self._job.cancel()
                self._job = None
            if previous is None or inputs is None or previous.networks != inputs.networks:
                self.flipped, self.words = (), ""
                if self._search is not None:
                    self._search.cancel()
        self._refresh_later()

    def _refresh(self) -> None:
        inputs = self._inputs
        if inputs is None or not self.active or self.current or (self._job is not None and self._job.active):
            return

        def compute(job: Job) -> tuple[Preview | None, str]:
            try:
                compressed = inputs.compressed(job.report)
                return preview(compressed, inputs.picture(), layer=inputs.layer, classes=inputs.data.classes), ""
            except (ValueError, OSError) as error:  # the picture cannot be read, or the outputs hold no numbers
                return None, sentence(error)

        def done(result: tuple[Preview | None, str]) -> None:
            if self._inputs is inputs:
                with self.hold_trait_notifications():
                    self.found, self.problem = result
                    self.stage, self.current = inputs.stage, True

        if inputs.too_large:
            done((None, TOO_LARGE))
        else:
            self._job = self._worker.submit(JobKind.PREVIEW, "Looking at a picture", compute, done, short=True)
