"""The mathematics of the method: unfolding, EVBMF, HOSVD, Tucker, regression, costs. Tensors in, tensors out."""

from workbench.kernels.evbmf import evbmf, evbmf_matrix
from workbench.kernels.tucker import relative_error, tucker1, tucker2
from workbench.kernels.unfolding import IN_MODE, OUT_MODE, unfold

__all__ = ["IN_MODE", "OUT_MODE", "evbmf", "evbmf_matrix", "relative_error", "tucker1", "tucker2", "unfold"]
