"""A session: the models of all steps, linked."""

import traitlets

from workbench.app.autosave import Autosave
from workbench.app.steps.choose.model import ChooseModel
from workbench.app.steps.compare.model import GalleryModel, PaperModel, RankCurveModel
from workbench.app.steps.look.model import LookModel
from workbench.app.steps.plan.model import PlanModel
from workbench.app.steps.recover.model import RecoverModel
from workbench.app.steps.speed.model import SpeedModel
from workbench.app.steps.take_home.model import TakeHomeModel
from workbench.app.worker import Worker
from workbench.network.data import Data
from workbench.network.network import Network


class Session:
    """Composes the models of the steps, with the user's network and data, or else the bundled ones."""

    def __init__(self, network: Network | None = None, data: Data | None = None) -> None:
        self.worker = worker = Worker()
        self.choose = ChooseModel(worker, network, data)
        self.look = LookModel()
        self.plan = PlanModel(worker, self.choose)
        self.recover = RecoverModel(worker, self.choose, self.plan)
        self.gallery = GalleryModel(worker, self.choose, self.recover)
        self.rank_curve = RankCurveModel(worker, self.choose, self.look)
        self.paper = PaperModel(worker, self.choose)
        self.speed = SpeedModel(worker, self.recover)
        self.take_home = TakeHomeModel(worker, self.choose, self.recover)
        traitlets.dlink((self.choose, "spectra"), (self.look, "spectra"))
        traitlets.dlink((self.choose, "spectra"), (self.plan, "spectra"))
        self.autosave = Autosave(worker, self.choose, self.look, self.plan, self.recover)

    def open(self) -> None:
        """Open the network and data that were given, or the bundled ones."""
        self.choose.open()

    def undo(self) -> None:
        """Undo the last edit of the plan, and pick the layer that it changed."""
        self.look.pick(self.plan.undo())

    def redo(self) -> None:
        """Redo the edit that was undone last, and pick the layer that it changed."""
        self.look.pick(self.plan.redo())
