"""Printed figures of results, as matplotlib figures; each is loaded when it is first used.

Figures for the page are in :mod:`workbench.plot.interactive`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.plot.static.factors import factors
    from workbench.plot.static.gallery import filters, gallery
    from workbench.plot.static.kernel import growing_rank, kernel, unfoldings
    from workbench.plot.static.rank_curve import rank_curve
    from workbench.plot.static.roofline import roofline
    from workbench.plot.static.spectrum import explained, free_energy, spectrum

_MODULES = {
    "explained": "spectrum",
    "factors": "factors",
    "filters": "gallery",
    "free_energy": "spectrum",
    "gallery": "gallery",
    "growing_rank": "kernel",
    "kernel": "kernel",
    "rank_curve": "rank_curve",
    "roofline": "roofline",
    "spectrum": "spectrum",
    "unfoldings": "kernel",
}

__all__ = [
    "explained",
    "factors",
    "filters",
    "free_energy",
    "gallery",
    "growing_rank",
    "kernel",
    "rank_curve",
    "roofline",
    "spectrum",
    "unfoldings",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'workbench.plot' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"workbench.plot.static.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
