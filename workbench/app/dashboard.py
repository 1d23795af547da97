"""The dashboard: the steps on one page, linked by one session; the same in JupyterLab and in Voila."""

from pathlib import Path

import ipywidgets as w
import torch

from workbench.app.controls import Alert, column, follow
from workbench.app.overview import overview
from workbench.app.server.logs import log_to_server
from workbench.app.server.serve import setting
from workbench.app.session import Session
from workbench.app.steps.choose.view import choose_view
from workbench.app.steps.compare.runs_view import runs_view
from workbench.app.steps.compare.view import gallery_view, layerwise_view, paper_view, rank_curve_view, tradeoff_view
from workbench.app.steps.look.view import look_view
from workbench.app.steps.plan.view import layer_view, plan_view
from workbench.app.steps.recover.view import recover_view
from workbench.app.steps.speed.view import speed_view
from workbench.app.steps.take_home.view import take_home_view
from workbench.app.top_bar import top_bar
from workbench.app.widgets.glossary import RANDOM, term
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
    torch.set_num_threads(setting("WORKBENCH_THREADS", 1))  # several kernels may share the machine
    s = session or Session(network, data)
    intro = (
        f"<style>{STYLE.read_text(encoding='utf-8')}</style>"
        "<h1>Workbench</h1><p class='wb-soft'>See how much of a convolutional network is redundant, and "
        f"remove it: ranks by {term('EVBMF')}, factors by {term('Tucker-2')}, recovery by "
        f"{term('fine-tune', 'fine-tuning')} (Kim et al., ICLR 2016).</p>"
    )
    start = PageStart()
    refused = Alert()
    page = column(start, w.HTML(intro), top_bar(s, refused), *_cards(s), gap=12)
    page.layout.width = "100%"
    page.add_class("wb")
    validate_messages(page, refused)
    start.page = page
    s.open()
    return page


def _cards(s: Session) -> list[w.Widget]:
    """Return the cards of the page, from the first step to the last."""

    def card(step: int, title: str, words: str, *children: w.Widget) -> w.VBox:
        """Return a card; the bar at the top leads to it where a step begins, else `step` is 0."""
        heading, number = w.HTML(), f"<span class='wb-step'>{step}</span>" if step else ""

        def fill() -> None:
            mark = RANDOM if s.choose.network is not None and s.choose.network.random_weights else ""
            heading.value = f"<h2>{number}{title}{mark}</h2><p class='wb-soft'>{words}</p>"

        follow(fill, (s.choose, "network"))
        box = column(heading, *children, gap=8)
        box.add_class("wb-card")
        if step:
            box.add_class(f"wb-at-{step}")
        return box

    look_words = (
        f"Where the work is, which {term('rank', 'ranks')} the weights ask for, and what the plan does to each layer. "
        "Pick one, in the table or in the figure, to see it everywhere below."
    )
    plan_words = (
        f"Choose how the {term('rank', 'ranks')} are found; then look at the picked layer: each bar is a direction of "
        f"its channels ({term('singular values')}). Move a rank and watch what it costs and how far the weights move."
    )
    recover_words = (
        f"Make the planned network, then bring its accuracy back: {term('calibrate')} it in seconds, then "
        f"{term('fine-tune')} it for some {term('epoch', 'epochs')}. The paper's {term('learning rate')} is 0.001, "
        f"divided by 10 every 5 epochs. {term('from scratch', 'From scratch')} shows what decomposing was worth."
    )
    compare_words = (
        "Every network of this session is a point, with its 95 % interval; up and to the left is better, and the green "
        f"steps are the {term('Pareto front')}. (FLOPs is the papers' word for {term('MACs')}.) Choose by "
        f"{term('validation', 'validation images')}; the {term('test', 'test score')} above is for reporting."
    )
    validated = f"Accuracies are those on the {term('validation', 'validation images')}, to choose by."
    runs_words = f"Sweep over several budgets, and find every run again, of this session and earlier ones. {validated}"
    speed_words = f"Time both networks on this machine, see where the time goes, and what {term('energy')} it takes."
    home_words = "The compressed network as a file. The first three are run after writing, and compared with it."
    tab_words = "What the networks say of single images, what every layer has become, and the published figures."
    tabs = {
        "Images and filters": gallery_view(s),
        "One layer's ranks": rank_curve_view(s),
        "Layer by layer": layerwise_view(s),
        "The paper's table": paper_view(s),
    }
    pair = [
        card(4, "Compress and recover", recover_words, recover_view(s)),
        card(5, "Compare: accuracy against FLOPs", compare_words, tradeoff_view(s)),
    ]
    for box in pair:
        box.layout.flex, box.layout.min_width = "1 1 0%", "540px"
    return [
        card(1, "Choose", "A network, its weights, and the images that it is to tell apart.", choose_view(s)),
        overview(s),
        card(2, "Look: the layers", look_words, look_view(s)),
        card(3, "Plan: the whole network, then the picked layer", plan_words, plan_view(s), layer_view(s)),
        w.HBox(pair, layout={"flex_flow": "row wrap", "grid_gap": "12px"}),
        card(0, "Compare: runs", runs_words, runs_view(s)),
        card(0, "Compare: images, filters, ranks, and the paper", tab_words, w.Tab([*tabs.values()], titles=[*tabs])),
        card(6, "Speed and energy: measured, not only counted", speed_words, speed_view(s)),
        card(7, "Take it home: export", home_words, take_home_view(s)),
    ]
