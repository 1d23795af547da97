"""The step *Compare*: sample images, rank curves, and the paper's table; `RecoverModel` has the runs."""

from typing import Any

from traitlets import Bool, Enum, HasTraits, Instance, Int, Tuple, Unicode, observe

from workbench.app.errors import sentence
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.worker import Job, JobKind, Worker
from workbench.catalog.paper.table import PaperTable, paper_table
from workbench.inspect.gallery import Filters, Gallery, first_filters, gallery
from workbench.inspect.rank_curve import CurvePoint, rank_curve
from workbench.network.data import Data, Split
from workbench.plan.layer_choice import CHOICES

GALLERY_IMAGES = 12


def images_to_show(data: Data) -> Split:
    """Return the test images, or another split if there are none."""
    return next(split for split in (data.test, data.validation, data.train) if len(split))


class GalleryModel(HasTraits):
    """Sample images with the answers of both networks, and the filters of the first layer."""

    seed = Int(0)  # of the sample
    changed_first = Bool(False)  # whether images whose answer changed come first
    gallery = Instance(Gallery, allow_none=True)
    why_no_gallery = Unicode()  # a sentence, or ""
    filters = Instance(Filters, allow_none=True)
    why_no_filters = Unicode()  # a sentence, or ""

    def __init__(self, worker: Worker, choose: ChooseModel, recover: RecoverModel) -> None:
        super().__init__()
        self._worker, self._choose, self._recover = worker, choose, recover
        self._job: Job | None = None
        self._inputs: tuple[object, ...] = ()  # of the last job
        choose.observe(self._refresh, "opened")
        recover.observe(self._refresh, "run")
        self.observe(self._refresh, ["seed", "changed_first"])

    def other_images(self) -> None:
        """Show another sample."""
        self.seed += 1

    def _refresh(self, _: object = None) -> None:
        network, data, compressed = self._choose.network, self._choose.scored_data, self._recover.compressed
        seed, changed_first = self.seed, self.changed_first and compressed is not None
        inputs = (network, data, compressed, seed, changed_first)
        if inputs == self._inputs:
            return
        self._inputs = inputs
        if self._job is not None:
            self._job.cancel()

        def compute(job: Job) -> tuple[Gallery | None, str, Filters | None, str]:
            images = filters = None
            why_no_images = why_no_filters = ""
            if network is not None and data is not None:
                options: dict[str, Any] = {"compressed": compressed, "prefer_changed": changed_first}
                options |= {"classes": data.classes, "progress": job.report}
                try:
                    images = gallery(network, images_to_show(data), GALLERY_IMAGES, seed, **options)
                except (ValueError, OSError) as error:  # the outputs name no class, or an input is no picture
                    why_no_images = sentence(error)
            if compressed is not None:
                try:
                    filters = first_filters(compressed)
                except ValueError as error:
                    why_no_filters = sentence(error)
            return images, why_no_images, filters, why_no_filters

        def done(result: tuple[Gallery | None, str, Filters | None, str]) -> None:
            with self.hold_trait_notifications():
                self.gallery, self.why_no_gallery, self.filters, self.why_no_filters = result

        self._job = self._worker.submit(JobKind.GALLERY, "Looking at images", compute, done, short=True)


class RankCurveModel(HasTraits):
    """Scores of the network with only one layer reduced, at several ranks."""

    measured = Tuple(("", ()))  # name of the layer, and its points of :func:`~workbench.inspect.rank_curve.rank_curve`

    def __init__(self, worker: Worker, choose: ChooseModel, look: LookModel) -> None:
        super().__init__()
        self._worker, self._choose, self._look = worker, choose, look
        choose.observe(lambda _: self.set_trait("measured", ("", ())), "opened")

    def measure(self) -> Job:
        """Measure the picked layer."""
        opened, layer = self._choose.opened, self._look.picked

        def compute(job: Job) -> list[CurvePoint]:
            if opened is None or opened.misfit or not layer:
                raise ValueError((opened and opened.misfit) or "open a network and pick a layer first")
            split = opened.data.validation if len(opened.data.validation) else opened.data.unlabelled
            return rank_curve(opened.network, split, layer, opened.spectra, progress=job.report)

        def done(points: list[CurvePoint]) -> None:
            if self._choose.opened is opened:
                self.measured = layer, tuple(points)

        return self._worker.submit(JobKind.RANK_CURVE, f"Trying ranks of {layer}", compute, done)


class PaperModel(HasTraits):
    """The paper's table beside the open network; computed on request, because its networks take a while."""

    layers = Enum(list(CHOICES), default_value="spatial")  # layers of the open network to compress in the table
    fully_connected = Bool(False)
    table = Instance(PaperTable, allow_none=True)
    note = Unicode()  # a sentence on which network is compressed in the table, or why none is

    def __init__(self, worker: Worker, choose: ChooseModel) -> None:
        super().__init__()
        self._worker, self._choose = worker, choose

    @observe("layers")
    def _set_fully_connected(self, _: object) -> None:
        self.fully_connected = self.layers != "spatial"

    def compute(self) -> Job:
        """Compute the table."""
        network, data = self._choose.network, self._choose.scored_data
        layers, fully_connected = self.layers, self.fully_connected
        split = data.test if data is not None and len(data.test) else None
        networks = [network] if network is not None and not network.random_weights else []
        note = "Only the originals: upload weights of a network to compress it here."
        if networks:
            scoring = f"and scored here on {len(split)} images." if split else "here; no images fit it to score it on."
            note = f"{networks[0].name} is compressed {scoring}"

        def compute(job: Job) -> PaperTable:
            return paper_table(networks, split, layers=layers, fully_connected=fully_connected, progress=job.report)

        def done(table: PaperTable) -> None:
            self.note, self.table = note, table

        return self._worker.submit(JobKind.PAPER, "Computing the table", compute, done)
