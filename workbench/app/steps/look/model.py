"""The step *Look*: the layers, and which of them is picked."""

from traitlets import HasTraits, Instance, Unicode, observe

from workbench.plan.spectra import Spectra


class LookModel(HasTraits):
    """Holds the picked layer.

    Traits
    ------
    spectra : of the open network.
    selected : name of the picked layer, or "".
    """

    spectra = Instance(Spectra, allow_none=True)
    selected = Unicode()

    @observe("spectra")
    def _pick_busiest(self, _: object) -> None:
        """Pick the layer with the most MACs of a network that was just opened."""
        busiest = max(self.spectra or (), key=lambda s: s.layer.cost.macs, default=None)
        self.selected = busiest.layer.name if busiest else ""

    def select(self, name: str) -> None:
        """Pick a layer; a name that is no layer of the network changes nothing."""
        if self.spectra is not None and name in {layer.name for layer in self.spectra.layers}:
            self.selected = name
