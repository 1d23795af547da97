"""The dashboard: panels on one page, linked by one state. The same in JupyterLab and in Voila."""

import logging
import os
from pathlib import Path

import ipywidgets as w
import torch

from workbench.app.server.logs import log_to_server
from workbench.app.state import State
from workbench.app.steps.choose.view import chooser
from workbench.app.steps.compare.gallery_view import pictures_panel
from workbench.app.steps.compare.paper_view import layerwise_panel, paper_panel
from workbench.app.steps.compare.rank_curve_view import curves_panel
from workbench.app.steps.compare.runs_view import runs_panel
from workbench.app.steps.compare.view import tradeoff_panel
from workbench.app.steps.look.overview import cards
from workbench.app.steps.look.view import glance_panel
from workbench.app.steps.plan.spectrum_view import spectrum_panel
from workbench.app.steps.plan.view import planner_panel
from workbench.app.steps.recover.view import recover_panel
from workbench.app.steps.speed.model import Speeds
from workbench.app.steps.speed.view import speed_panel
from workbench.app.steps.take_home.model import Exports
from workbench.app.steps.take_home.view import export_panel
from workbench.app.widgets.glossary import term
from workbench.app.widgets.guide import guide_panel
from workbench.app.widgets.heading import heading
from workbench.app.widgets.labels import Labels
from workbench.app.widgets.layer_table import layer_table
from workbench.app.widgets.progress import progress_bar
from workbench.app.widgets.resend import Arrival
from workbench.app.widgets.validation import guard
from workbench.network.data import Data
from workbench.network.network import Network, expect_network


def build_dashboard(
    network: Network | None = None, data: Data | None = None, *, state: State | None = None
) -> w.Widget:
    """The whole dashboard as one widget; opening the network goes on in the background.

    Parameters
    ----------
    network, data : yours, or None for the bundled ones.
    state : one of your own making, to look at from other cells.
    """
    if network is not None:
        expect_network(network)
    if not isinstance(data, Data | None):
        raise TypeError(f"the second argument is a Data, not a {type(data).__name__}")
    log_to_server()
    torch.set_num_threads(threads())
    state = state or State(network, data)
    arrival, speeds, exports = Arrival(), Speeds(state), Exports(state)
    page = w.VBox(
        [
            arrival,
            Labels(),
            w.HTML(f"<style>{(Path(__file__).parent / 'widgets' / 'style.css').read_text(encoding='utf-8')}</style>"),
            w.HTML(
                "<h1>Workbench</h1><p class='wb-soft'>See how much of a convolutional network is redundant, and "
                f"take it away: ranks by {term('EVBMF')}, factors by {term('Tucker-2')}, recovery by "
                f"{term('fine-tune', 'fine-tuning')} (Kim et al., ICLR 2016).</p>"
            ),
            guide_panel(state, speeds, exports),
            _card(
                heading(state, 1, "Choose", "A network, its weights, and the images that it is to tell apart."),
                chooser(state),
                progress_bar(state, "Opening", but="Opening run"),
                step=1,
            ),
            cards(state),
            _card(
                heading(
                    state,
                    2,
                    "Look: the layers",
                    f"Where the work is, which {term('rank', 'ranks')} the weights ask for, and what the plan does to "
                    "each layer. Pick one, in the table or in the figure, to see it everywhere below.",
                ),
                layer_table(state),
                glance_panel(state),
                step=2,
            ),
            _card(
                heading(
                    state,
                    3,
                    "Plan: the whole network, then the picked layer",
                    f"Choose how the {term('rank', 'ranks')} are found; then look at the picked layer: each bar is a "
                    f"direction of its channels ({term('singular values')}). Move a rank and watch what is kept, what "
                    "it costs and how far the weights move.",
                ),
                planner_panel(state),
                spectrum_panel(state),
                step=3,
            ),
            w.HBox(
                [
                    _card(
                        heading(
                            state, 4, "Compress and recover", "Make the planned network, then bring its accuracy back."
                        ),
                        recover_panel(state),
                        flex="1 1 0%",
                        step=4,
                    ),
                    _card(
                        heading(
                            state,
                            5,
                            "Compare: accuracy against FLOPs",
                            "Every network of this session is a point, with its 95 % interval; up and to the left is "
                            f"better, and the green steps are the {term('Pareto front')}. (FLOPs is the papers' word "
                            f"for {term('MACs')}.) Choose by {term('validation', 'validation images')}; the "
                            f"{term('test', 'test score')} above is for reporting.",
                        ),
                        tradeoff_panel(state),
                        flex="1 1 0%",
                        step=5,
                    ),
                ],
                layout={"flex_flow": "row wrap", "grid_gap": "12px"},
            ),
            _card(
                heading(
                    state,
                    0,
                    "Compare: runs",
                    "Sweep over several budgets at once, and find every run again, of this session and earlier ones. "
                    f"Accuracies are those on the {term('validation', 'validation images')}, to choose by.",
                ),
                runs_panel(state),
            ),
            _card(
                heading(
                    state,
                    0,
                    "Compare: images, filters, ranks, and the paper",
                    "What the networks say of single images, what every layer has become, and the published figures.",
                ),
                _tabs(
                    ("Images and filters", pictures_panel(state)),
                    ("One layer's ranks", curves_panel(state)),
                    ("Layer by layer", layerwise_panel(state)),
                    ("The paper's table", paper_panel(state)),
                ),
            ),
            _card(
                heading(
                    state,
                    6,
                    "Speed and energy: measured, not only counted",
                    f"Time the compressed network against the original on this machine, see where the time goes, and "
                    f"what {term('energy')} an image takes.",
                ),
                speed_panel(state, speeds),
                step=6,
            ),
            _card(
                heading(
                    state,
                    7,
                    "Take it home: export",
                    "The compressed network as a file that runs on a phone, in other programs or in PyTorch. The first "
                    "three are run after writing, and their answers are compared with the network's here.",
                ),
                export_panel(state, exports),
                step=7,
            ),
        ],
        layout={"grid_gap": "12px", "width": "100%"},
    )
    page.add_class("wb")
    guard(page, state)
    arrival.page = page
    state.open()
    return page


def threads() -> int:
    """Threads for torch: $WORKBENCH_THREADS, or one, because kernels that share a machine get in each other's way."""
    text = os.environ.get("WORKBENCH_THREADS", "1")
    if not (text.isdecimal() and int(text) > 0):
        logging.getLogger(__name__).warning("WORKBENCH_THREADS=%s is not a whole number above 0: using 1.", text)
        return 1
    return int(text)


def _tabs(*pages: tuple[str, w.Widget]) -> w.Tab:
    tabs = w.Tab([page for _, page in pages])
    for i, (title, _) in enumerate(pages):
        tabs.set_title(i, title)
    return tabs


def _card(*children: w.Widget, flex: str = "", step: int = 0) -> w.VBox:
    """A card; where a step of the journey begins, the bar at the top leads to it."""
    layout = {"grid_gap": "8px"} | ({"flex": flex, "min_width": "540px"} if flex else {})
    box = w.VBox(list(children), layout=layout)
    box.add_class("wb-card")
    if step:
        box.add_class(f"wb-at-{step}")
    return box
