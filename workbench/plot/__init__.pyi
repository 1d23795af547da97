from .static.factors import factors
from .static.gallery import filters, gallery
from .static.kernel import growing_rank, kernel, unfoldings
from .static.rank_curve import rank_curve
from .static.roofline import roofline
from .static.spectrum import explained, free_energy, spectrum

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
