"""The dashboard: the steps on one page, linked by one session; the same in JupyterLab and in Voila."""

import logging
import os
from pathlib import Path

import ipywidgets as w
import torch

from workbench.app.server.logs import log_to_server
from workbench.app.session import Session
from workbench.app.steps.choose import view as choose_view
from workbench.app.steps.compare import gallery_view, paper_view, rank_curve_view, runs_view
from workbench.app.steps.compare import view as compare_view
from workbench.app.steps.look import view as look_view
from workbench.app.steps.look.overview import overview
from workbench.app.steps.plan import spectrum_view
from workbench.app.steps.plan import view as plan_view
from workbench.app.steps.recover import view as recover_view
from workbench.app.steps.speed import view as speed_view
from workbench.app.steps.take_home import view as take_home_view
from workbench.app.top_bar import top_bar
from workbench.app.widgets.glossary import heading, term
from workbench.app.widgets.page_start import PageStart
from workbench.app.widgets.validation import validate_messages
from workbench.network.data import Data
from workbench.network.network import Network, expect_network

STYLE = Path(__file__).parent / "widgets" / "style.css"


def build_dashboard(
    network: Network | None = None, data: Data | None = None, *, session: Session | None = None
) -> w.Widget:
    """Return the whole dashboard as one widget; the network is opened in the background.

    Parameters
    ----------
    network, data : the user's, or None for the bundled ones.
    session : one that other cells use too; None for a new one.
    """
    if network is not None:
        expect_network(network)
    if not isinstance(data, Data | None):
        raise TypeError(f"the second argument is a Data, not a {type(data).__name__}")
    log_to_server()
    torch.set_num_threads(threads())
    s = session or Session(network, data)
    start = PageStart()
    page = w.VBox([start, *_head(s), *_cards(s)], layout={"grid_gap": "12px", "width": "100%"})
    page.add_class("wb")
    validate_messages(page, s.plan)
    start.page = page
    s.open()
    return page


def _head(s: Session) -> list[w.Widget]:
    return [
        w.HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>"),
        w.HTML(
            "<h1>Workbench</h1><p class='wb-soft'>See how much of a convolutional network is redundant, and "
            f"remove it: ranks by {term('EVBMF')}, factors by {term('Tucker-2')}, recovery by "
            f"{term('fine-tune', 'fine-tuning')} (Kim et al., ICLR 2016).</p>"
        ),
        top_bar(s),
    ]


def _cards(s: Session) -> list[w.Widget]:
    def title(step: int, text: str, words: str) -> w.HTML:
        return heading(s.choose, step, text, words)

    ranks = term("rank", "ranks")
    return [
        _card(
            title(1, "Choose", "A network, its weights, and the images that it is to tell apart."),
            choose_view.view(s.choose, s.worker),
            step=1,
        ),
        overview(s.choose, s.plan, s.recover),
        _card(
            title(
                2,
                "Look: the layers",
                f"Where the work is, which {ranks} the weights ask for, and what the plan does to each layer. Pick "
                "one, in the table or in the figure, to see it everywhere below.",
            ),
            look_view.view(s.look, s.plan),
            step=2,
        ),
        _card(
            title(
                3,
                "Plan: the whole network, then the picked layer",
                f"Choose how the {ranks} are found; then look at the picked layer: each bar is a direction of its "
                f"channels ({term('singular values')}). Move a rank and watch what is kept, what it costs and how far "
                "the weights move.",
            ),
            plan_view.view(s.plan, s.choose, s.worker),
            spectrum_view.view(s.plan, s.look),
            step=3,
        ),
        w.HBox(
            [
                _card(
                    title(4, "Compress and recover", "Make the planned network, then bring its accuracy back."),
                    recover_view.view(s.recover, s.choose, s.plan, s.worker),
                    flex="1 1 0%",
                    step=4,
                ),
                _card(
                    title(
                        5,
                        "Compare: accuracy against FLOPs",
                        "Every network of this session is a point, with its 95 % interval; up and to the left is "
                        f"better, and the green steps are the {term('Pareto front')}. (FLOPs is the papers' word for "
                        f"{term('MACs')}.) Choose by {term('validation', 'validation images')}; the "
                        f"{term('test', 'test score')} above is for reporting.",
                    ),
                    compare_view.view(s.compare, s.recover, s.choose),
                    flex="1 1 0%",
                    step=5,
                ),
            ],
            layout={"flex_flow": "row wrap", "grid_gap": "12px"},
        ),
        _card(
            title(
                0,
                "Compare: runs",
                "Sweep over several budgets at once, and find every run again, of this session and earlier ones. "
                f"Accuracies are those on the {term('validation', 'validation images')}, to choose by.",
            ),
            runs_view.view(s.compare, s.recover, s.plan, s.worker),
        ),
        _card(
            title(
                0,
                "Compare: images, filters, ranks, and the paper",
                "What the networks say of single images, what every layer has become, and the published figures.",
            ),
            _tabs(
                ("Images and filters", gallery_view.view(s.compare.gallery, s.choose, s.recover, s.worker)),
                ("One layer's ranks", rank_curve_view.view(s.compare.rank_curve, s.choose, s.look, s.worker)),
                ("Layer by layer", paper_view.layerwise_view(s.plan)),
                ("The paper's table", paper_view.view(s.compare.paper, s.worker)),
            ),
        ),
        _card(
            title(
                6,
                "Speed and energy: measured, not only counted",
                "Time the compressed network against the original on this machine, see where the time goes, and what "
                f"{term('energy')} an image takes.",
            ),
            speed_view.view(s.speed, s.recover, s.look, s.worker),
            step=6,
        ),
        _card(
            title(
                7,
                "Take it home: export",
                "The compressed network as a file that runs on a phone, in other programs or in PyTorch. The first "
                "three are run after writing, and their answers are compared with the network's here.",
            ),
            take_home_view.view(s.take_home, s.recover, s.worker),
            step=7,
        ),
    ]


def threads() -> int:
    """Return threads for torch: $WORKBENCH_THREADS, or one, because several kernels may share the machine."""
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
    """Return a card; where a step begins, the bar at the top leads to it."""
    layout = {"grid_gap": "8px"} | ({"flex": flex, "min_width": "540px"} if flex else {})
    box = w.VBox(list(children), layout=layout)
    box.add_class("wb-card")
    if step:
        box.add_class(f"wb-at-{step}")
    return box
