"""See how much of a convolutional network is redundant, and take it away.

The names below are the notebook API; each is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.app.dashboard import build_dashboard
    from workbench.app.widgets.rank_explorer import explore_ranks
    from workbench.catalog.datasets.load import load_data
    from workbench.catalog.networks.load import load_network
    from workbench.catalog.paper.table import paper_table
    from workbench.exporters.files import Exported, export_executorch, export_onnx
    from workbench.exporters.preparing import ExportError
    from workbench.exporters.report import report_html
    from workbench.exporters.weights import export_weights
    from workbench.inspect.gallery import first_filters, gallery
    from workbench.inspect.layerwise import layerwise
    from workbench.inspect.rank_curve import sensitivity
    from workbench.kernels.evbmf import Evbmf, evbmf, evbmf_matrix
    from workbench.kernels.tucker import Tucker1, Tucker2, relative_error, tucker1, tucker2
    from workbench.kernels.unfolding import unfold
    from workbench.measure.energy import energies, energy
    from workbench.measure.explain import explain
    from workbench.measure.latency import latency, speed
    from workbench.measure.layer_times import measure_times
    from workbench.measure.profile import profile, profiles
    from workbench.measure.roofline import roofline
    from workbench.measure.time_plan import time_plan
    from workbench.network.data import Accuracy, Data, Split, accuracy
    from workbench.network.network import Network
    from workbench.plan.budget import budget_plan
    from workbench.plan.evbmf import evbmf_plan
    from workbench.plan.importance import Sensitivities, sensitivities
    from workbench.plan.plan import LayerPlan, Plan
    from workbench.plan.spectra import Spectra, analyze
    from workbench.plot.static.factors import plot_factors
    from workbench.plot.static.kernel import plot_energy, plot_growing_rank, plot_kernel, plot_unfoldings
    from workbench.plot.static.results import (
        plot_filters,
        plot_free_energy,
        plot_gallery,
        plot_roofline,
        plot_sensitivity,
        plot_spectrum,
    )
    from workbench.recover.balance import balance
    from workbench.recover.calibrate import calibrate
    from workbench.recover.decompose import decompose, rebuild
    from workbench.recover.distill import distill
    from workbench.recover.finetune import Epoch, finetune
    from workbench.recover.recipe import Recipe
    from workbench.recover.scratch import from_scratch
    from workbench.runs.run import Run
    from workbench.runs.store import RunStore
    from workbench.runs.sweep import sweep

_HOME = {
    "app.dashboard": ("build_dashboard",),
    "app.widgets.rank_explorer": ("explore_ranks",),
    "plot.static.results": (
        "plot_filters",
        "plot_free_energy",
        "plot_gallery",
        "plot_roofline",
        "plot_sensitivity",
        "plot_spectrum",
    ),
    "plot.static.factors": ("plot_factors",),
    "plot.static.kernel": ("plot_energy", "plot_growing_rank", "plot_kernel", "plot_unfoldings"),
    "catalog.datasets.load": ("load_data",),
    "catalog.networks.load": ("load_network",),
    "catalog.paper.table": ("paper_table",),
    "recover.balance": ("balance",),
    "plan.budget": ("budget_plan",),
    "recover.calibrate": ("calibrate",),
    "inspect.rank_curve": ("sensitivity",),
    "network.data": ("Accuracy", "Data", "Split", "accuracy"),
    "recover.decompose": ("decompose", "rebuild"),
    "recover.distill": ("distill",),
    "recover.finetune": ("Epoch", "finetune"),
    "inspect.gallery": ("first_filters", "gallery"),
    "inspect.layerwise": ("layerwise",),
    "network.network": ("Network",),
    "plan.plan": ("LayerPlan", "Plan"),
    "plan.evbmf": ("evbmf_plan",),
    "recover.recipe": ("Recipe",),
    "recover.scratch": ("from_scratch",),
    "plan.importance": ("Sensitivities", "sensitivities"),
    "plan.spectra": ("Spectra", "analyze"),
    "exporters.files": ("Exported", "export_executorch", "export_onnx"),
    "exporters.preparing": ("ExportError",),
    "exporters.report": ("report_html",),
    "exporters.weights": ("export_weights",),
    "kernels.evbmf": ("Evbmf", "evbmf", "evbmf_matrix"),
    "kernels.tucker": ("Tucker1", "Tucker2", "relative_error", "tucker1", "tucker2"),
    "kernels.unfolding": ("unfold",),
    "measure.energy": ("energies", "energy"),
    "measure.explain": ("explain",),
    "measure.latency": ("latency", "speed"),
    "measure.layer_times": ("measure_times",),
    "measure.roofline": ("roofline",),
    "measure.profile": ("profile", "profiles"),
    "measure.time_plan": ("time_plan",),
    "runs.run": ("Run",),
    "runs.store": ("RunStore",),
    "runs.sweep": ("sweep",),
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
