"""Numbers of the roofline plot, for the interactive and for the printed figure."""

from collections.abc import Sequence

from workbench.measure.profile import NetworkProfile, Part
from workbench.measure.roofline import Roofline


def timed_parts(network: NetworkProfile) -> list[Part]:
    """Return the parts that have a place on logarithmic axes."""
    return [part for part in network.parts if part.seconds > 0 and part.macs]


def roof_line(parts: Sequence[Part], roof: Roofline | None) -> list[tuple[float, float]]:
    """Return (multiply-adds a byte, billion a second) of the roof's corners, as wide as the parts and the ridge."""
    if roof is None or not parts:
        return []
    intensities = [roof.ridge, *(part.intensity for part in parts)]
    return [(x, roof.attainable(x) / 1e9) for x in (min(intensities) / 2, roof.ridge, 2 * max(intensities))]
