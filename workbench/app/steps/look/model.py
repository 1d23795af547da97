"""The step *Look*: the picked layer."""

from traitlets import HasTraits, Unicode

from workbench.app.steps.choose.model import ChooseModel


class LookModel(HasTraits):
    """Holds the picked layer."""

    picked = Unicode()  # name of the layer, or ""

    def __init__(self, choose: ChooseModel) -> None:
        super().__init__()
        self._choose = choose
        choose.observe(self._pick_busiest, "spectra")

    def _pick_busiest(self, _: object) -> None:
        """Pick the layer with the most MACs of a network that was just opened."""
        busiest = max(self._choose.spectra or (), key=lambda s: s.layer.cost.macs, default=None)
        self.picked = busiest.layer.name if busiest else ""

    def pick(self, name: str) -> None:
        """Pick a layer; ignore a name that no layer of the network has."""
        spectra = self._choose.spectra
        if spectra is not None and name in {layer.name for layer in spectra.layers}:
            self.picked = name
