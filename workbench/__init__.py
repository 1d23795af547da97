"""See how much of a convolutional network is redundant, and take it away.

The names below are the notebook API; each is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.app.dashboard import build_dashboard
    from workbench.app.panels.factors import explore_ranks
    from workbench.app.prints import (
        plot_filters,
        plot_free_energy,
        plot_gallery,
        plot_roofline,
        plot_sensitivity,
        plot_spectrum,
    )
    from workbench.app.prints_factors import plot_factors
    from workbench.app.prints_kernel import plot_energy, plot_growing_rank, plot_kernel, plot_unfoldings
    from workbench.catalog.datasets import load_data
    from workbench.catalog.networks import load_network
    from workbench.catalog.paper_table import paper_table
    from workbench.compression.balance import balance
    from workbench.compression.budget import budget_plan
    from workbench.compression.calibrate import calibrate
    from workbench.compression.curves import sensitivity
    from workbench.compression.data import Accuracy, Data, Split, accuracy
    from workbench.compression.decompose import decompose, rebuild
    from workbench.compression.distill import distill
    from workbench.compression.finetune import Epoch, finetune
    from workbench.compression.gallery import first_filters, gallery
    from workbench.compression.layerwise import layerwise
    from workbench.compression.network import Network
    from workbench.compression.plan import LayerPlan, Plan
    from workbench.compression.ranks import evbmf_plan
    from workbench.compression.recipe import Recipe
    from workbench.compression.scratch import from_scratch
    from workbench.compression.sensitivities import Sensitivities, sensitivities
    from workbench.compression.spectra import Spectra, analyze
    from workbench.export.files import Exported, export_executorch, export_onnx
    from workbench.export.preparing import ExportError
    from workbench.export.report import report_html
    from workbench.export.weights import export_weights
    from workbench.kernels.evbmf import Evbmf, evbmf, evbmf_matrix
    from workbench.kernels.tucker import Tucker1, Tucker2, relative_error, tucker1, tucker2
    from workbench.kernels.unfolding import unfold
    from workbench.measure.energy import energies, energy
    from workbench.measure.explain import explain
    from workbench.measure.latency import latency, speed
    from workbench.measure.lookup import measure_times
    from workbench.measure.machine import roofline
    from workbench.measure.profile import profile, profiles
    from workbench.measure.time_plan import time_plan
    from workbench.run import Run
    from workbench.runs import RunStore
    from workbench.sweeps import sweep

_HOME = {
    "app.dashboard": ("build_dashboard",),
    "app.panels.factors": ("explore_ranks",),
    "app.prints": (
        "plot_filters",
        "plot_free_energy",
        "plot_gallery",
        "plot_roofline",
        "plot_sensitivity",
        "plot_spectrum",
    ),
    "app.prints_factors": ("plot_factors",),
    "app.prints_kernel": ("plot_energy", "plot_growing_rank", "plot_kernel", "plot_unfoldings"),
    "catalog.datasets": ("load_data",),
    "catalog.networks": ("load_network",),
    "catalog.paper_table": ("paper_table",),
    "compression.balance": ("balance",),
    "compression.budget": ("budget_plan",),
    "compression.calibrate": ("calibrate",),
    "compression.curves": ("sensitivity",),
    "compression.data": ("Accuracy", "Data", "Split", "accuracy"),
    "compression.decompose": ("decompose", "rebuild"),
    "compression.distill": ("distill",),
    "compression.finetune": ("Epoch", "finetune"),
    "compression.gallery": ("first_filters", "gallery"),
    "compression.layerwise": ("layerwise",),
    "compression.network": ("Network",),
    "compression.plan": ("LayerPlan", "Plan"),
    "compression.ranks": ("evbmf_plan",),
    "compression.recipe": ("Recipe",),
    "compression.scratch": ("from_scratch",),
    "compression.sensitivities": ("Sensitivities", "sensitivities"),
    "compression.spectra": ("Spectra", "analyze"),
    "export.files": ("Exported", "export_executorch", "export_onnx"),
    "export.preparing": ("ExportError",),
    "export.report": ("report_html",),
    "export.weights": ("export_weights",),
    "kernels.evbmf": ("Evbmf", "evbmf", "evbmf_matrix"),
    "kernels.tucker": ("Tucker1", "Tucker2", "relative_error", "tucker1", "tucker2"),
    "kernels.unfolding": ("unfold",),
    "measure.energy": ("energies", "energy"),
    "measure.explain": ("explain",),
    "measure.latency": ("latency", "speed"),
    "measure.lookup": ("measure_times",),
    "measure.machine": ("roofline",),
    "measure.profile": ("profile", "profiles"),
    "measure.time_plan": ("time_plan",),
    "run": ("Run",),
    "runs": ("RunStore",),
    "sweeps": ("sweep",),
}
_MODULE_OF = {name: f"workbench.{module}" for module, names in _HOME.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "Accuracy",
    "Data",
    "Epoch",
    "Evbmf",
    "ExportError",
    "Exported",
    "LayerPlan",
    "Network",
    "Plan",
    "Recipe",
    "Run",
    "RunStore",
    "Sensitivities",
    "Spectra",
    "Split",
    "Tucker1",
    "Tucker2",
    "accuracy",
    "analyze",
    "balance",
    "budget_plan",
    "build_dashboard",
    "calibrate",
    "decompose",
    "distill",
    "energies",
    "energy",
    "evbmf",
    "evbmf_matrix",
    "evbmf_plan",
    "explain",
    "explore_ranks",
    "export_executorch",
    "export_onnx",
    "export_weights",
    "finetune",
    "first_filters",
    "from_scratch",
    "gallery",
    "latency",
    "layerwise",
    "load_data",
    "load_network",
    "measure_times",
    "paper_table",
    "plot_energy",
    "plot_factors",
    "plot_filters",
    "plot_free_energy",
    "plot_gallery",
    "plot_growing_rank",
    "plot_kernel",
    "plot_roofline",
    "plot_sensitivity",
    "plot_spectrum",
    "plot_unfoldings",
    "profile",
    "profiles",
    "rebuild",
    "relative_error",
    "report_html",
    "roofline",
    "sensitivities",
    "sensitivity",
    "speed",
    "sweep",
    "time_plan",
    "tucker1",
    "tucker2",
    "unfold",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
