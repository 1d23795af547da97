"""The step *Look*: the layers, and which of them is picked."""

from traitlets import HasTraits, Instance, Unicode, observe

from workbench.plan.spectra import Spectra


class LookModel(HasTraits):
    """Holds the picked layer."""

    spectra = Instance(Spectra, allow_none=True)
    picked = Unicode()  # name of the layer, or ""

    @observe("spectra")
    def _pick_busiest(self, _: object) -> None:
        """Pick the layer with the most MACs of a network that was just opened."""
        busiest = max(self.spectra or (), key=lambda s: s.layer.cost.macs, default=None)
        self.picked = busiest.layer.name if busiest else ""

    def pick(self, name: str) -> None:
        """Pick a layer; a name that is no layer of the network changes nothing."""
        if self.spectra is not None and name in {layer.name for layer in self.spectra.layers}:
            self.picked = name
