"""The dashboard: the steps on one page, linked by one session; the same in JupyterLab and in Voila."""

from html import escape

import ipywidgets as w

from workbench.app.controls import Alert, column, follow, updated_html
from workbench.app.server.lessons import lesson_link
from workbench.app.server.logs import log_to_server
from workbench.app.session import Session
from workbench.app.steps.choose.view import choose_view
from workbench.app.steps.compare.view import compare_view
from workbench.app.steps.look.view import look_view
from workbench.app.steps.plan.view import layer_view, plan_view
from workbench.app.steps.recover.view import recover_view
from workbench.app.steps.speed.view import speed_view
from workbench.app.steps.take_home.view import take_home_view
from workbench.app.top_bar import top_bar
from workbench.app.widgets.base import limit_threads
from workbench.app.widgets.glossary import RANDOM, term
from workbench.app.widgets.guide import Guide
from workbench.app.widgets.page_start import styled_page
from workbench.app.widgets.validation import validate_messages
from workbench.network.data import Data
from workbench.network.network import Network, expect_network

PREVIEWED_STEPS = (2, 3)  # steps that show a picture with the answers of both networks


def build_dashboard(
    network: Network | None = None, data: Data | None = None, *, session: Session | None = None
) -> w.Widget:
    """Return the whole dashboard as one widget; the network is opened in the background.

    Parameters
    ----------
    network, data : None for the bundled ones.
    session : shared with other cells; None for a new one.
    """
    if network is not None:
        expect_network(network)
    if not isinstance(data, Data | None):
        raise TypeError(f"the second argument is a Data, not a {type(data).__name__}")
    log_to_server()
    limit_threads()
    session = session or Session(network, data)
    input_alert = Alert()
    guide = Guide(session)
    follow(lambda: session.preview.watch(guide.shown in PREVIEWED_STEPS), (guide, "shown"))
    main = column(top_bar(session, guide, input_alert), *_panels(session, guide), gap=12).add_class("wb-main")
    page = styled_page(w.HBox([guide, main]).add_class("wb-body"), width="100%")
    validate_messages(page, input_alert)
    session.choose.open()
    return page


def _panels(session: Session, guide: Guide) -> list[w.Widget]:
    """Return one panel for each step; the page shows one at a time."""

    def panel(step: int, title: str, introduction: str, *children: w.Widget) -> w.VBox:
        def heading() -> str:
            state = guide.steps[step - 1]
            missing = f"<p class='wb-missing'>Not yet: {escape(state['words'])}</p>"
            mark = RANDOM if session.choose.random_weights else ""
            text = missing if state["status"] == "missing" else f"<p class='wb-soft'>{introduction}</p>"
            return f"<div class='wb-heading'><h2>{title}{mark}</h2>{text}{lesson_link(step)}</div>"

        header = updated_html(heading, (session.choose, "network"), (guide, "steps"))
        return column(header, *children, gap=12).add_class("wb-panel").add_class(f"wb-at-{step}")

    choose_words = (
        "A network, its weights, and images that it tells apart. Much of it is redundant."
        f"<span class='wb-expert'> By {term('EVBMF')} and {term('Tucker-2')}, after Kim et al., ICLR 2016.</span>"
    )
    look_words = (
        f"Where the work is, which {term('rank', 'ranks')} the weights ask for, and what the plan does to each layer."
    )
    plan_words = f"Choose how the {term('rank', 'ranks')} are found; then move those of the picked layer, and watch."
    recover_words = (
        f"Make the planned network; then {term('calibrate')} it, or {term('fine-tune')} it for some "
        f"{term('epoch', 'epochs')}."
        f"<span class='wb-expert'> The paper's {term('learning rate')} is 0.001, divided by 10 every 5 epochs. "
        f"{term('from scratch', 'From scratch')} shows what decomposing was worth.</span>"
    )
    compare_words = (
        f"Up and to the left is better; green is the {term('Pareto front')}. Choose by {term('validation')} images."
        f"<span class='wb-expert'> The {term('test', 'test score')} is for reporting.</span>"
    )
    speed_words = f"Time both networks on this machine, see where the time goes, and what {term('energy')} it takes."
    home_words = "The compressed network as a file. All but report and notebook are run after writing, and compared."
    return [
        panel(1, "Choose", choose_words, choose_view(session)),
        panel(2, "Look: the layers", look_words, look_view(session)),
        panel(3, "Plan", plan_words, plan_view(session), layer_view(session)),
        panel(4, "Compress and recover", recover_words, recover_view(session)),
        panel(5, "Compare", compare_words, compare_view(session)),
        panel(6, "Speed: measured, not only counted", speed_words, speed_view(session)),
        panel(7, "Take home", home_words, take_home_view(session)),
    ]
