"""Lesson 0: make the bundled network smaller by buttons and a slider."""

from functools import lru_cache, partial
from typing import Any

import ipywidgets as w

from workbench.app.controls import UserChanges, button, follow, row, slot
from workbench.app.network_view import network_view
from workbench.app.overview import missing_tile, tile
from workbench.app.session import Session
from workbench.app.steps.plan.view import saving_html
from workbench.app.widgets.base import bundle, limit_threads
from workbench.app.widgets.job_row import JobList
from workbench.app.widgets.page_start import styled_page
from workbench.app.worker import JobKind
from workbench.catalog.datasets.load import bundled_data_names, load_data
from workbench.catalog.networks.entries import bundled_names
from workbench.catalog.networks.load import load_network
from workbench.inspect.gallery import gallery
from workbench.plan.budget import budget_plan
from workbench.plan.spectra import analyze
from workbench.plot.static.inspected import gallery as print_gallery
from workbench.recover.decompose import decompose
from workbench.runs.run import StageName

STAGES = {
    StageName.ORIGINAL: "The network as it is",
    StageName.DECOMPOSED: "Made smaller",
    StageName.CALIBRATED: "Fitted again",
}
"""Stage of the network -> the title of its tile."""
JOB_TITLES = {JobKind.DECOMPOSE: "Making it smaller", JobKind.CALIBRATE: "Fitting it again"}
MAX_RATIO = 30.0  # of MACs, at the end of the slider


class Lesson:
    """The parts of lesson 0, which share one session; each is shown in a cell of its own."""

    def __init__(self) -> None:
        limit_threads()
        self.session = Session()
        self.session.preview.watch(True)
        self.session.choose.open()

    def numbers(self) -> "Part":
        """Return buttons that decompose and calibrate, above the accuracy at each stage."""
        session = self.session
        recover, plan, tiles = session.recover, session.plan, w.HTML()
        smaller = button("Make it smaller", recover.decompose, "Replace each layer by smaller ones", primary=True)
        fit = button("Fit it again", recover.calibrate, "Let each layer give what it gave before, on some images")
        for control in (smaller, fit):
            control.layout.width = "150px"

        def fill() -> None:
            smaller.disabled = recover.busy or plan.plan is None
            fit.disabled = recover.busy or recover.run is None
            tiles.value = (
                f"<div class='wb-tiles wb-three'>{''.join(stage_tile(session, name) for name in STAGES)}</div>"
            )

        follow(fill, (session.choose, "opened"), (plan, "plan"), (recover, "run"), (session.worker, "jobs"))
        return Part(row(smaller, fit), tiles, JobList(session.worker, JOB_TITLES), macs_ratio=5)

    def slider(self) -> "Part":
        """Return a slider for the MACs, above the drawing of the network and a picture."""
        plan, saving, user = self.session.plan, w.HTML(), UserChanges()
        ratio = slot(w.FloatSlider, "times less work", 520, 110, min=1.1, max=MAX_RATIO, step=0.1, readout_format=".1f")
        current_ratio = ratio.value

        def fill() -> None:
            nonlocal current_ratio
            with user.filling():
                ratio.value = plan.plan.macs_ratio if plan.plan is not None else ratio.min
            current_ratio = ratio.value
            ratio.disabled = plan.plan is None
            saving.value = saving_html(plan.plan)

        def replan(_: str, value: float) -> None:
            if plan.plan is not None and abs(value - current_ratio) > ratio.step / 2:  # the page rounds values
                plan.replan(planner="budget", macs_ratio=value)

        user.observe(ratio, replan, "ratio")
        follow(fill, (plan, "plan"))
        drawing = network_view(self.session, aspect=3.2)
        drawing.add_class("wb-large")
        return Part(row(ratio, saving, gap=16), drawing, macs_ratio=12)


def stage_tile(session: Session, name: StageName) -> str:
    """Return the HTML of a tile with the accuracy and the work at a stage."""
    run, original = session.recover.run, session.choose.original
    stage = original if name == StageName.ORIGINAL else run.stage(name) if run is not None else None
    score = stage.scores.get("test") if stage is not None else None
    if score is None:
        return missing_tile(STAGES[name], "The network is being opened." if original is None else "Press the button.")
    work = "all of the work" if run is None or stage is original else f"{run.plan.macs_ratio:.1f} times less work"
    return tile(STAGES[name], (f"{score.shown:.1f} %",), score.top1, "", f"of {score.n} digits right, with {work}")


class Part:
    """A part of the lesson in the dashboard's style; without a kernel, a static picture."""

    def __init__(self, *children: w.Widget, macs_ratio: float) -> None:
        self.widget = styled_page(*children, grid_gap="10px")
        self._macs_ratio = macs_ratio

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return bundle(self.widget, partial(static_gallery, self._macs_ratio), **kwargs)


@lru_cache
def static_gallery(macs_ratio: float) -> Any:
    """Return a printed gallery of digits after decomposition, changed answers first."""
    network, digits = load_network(bundled_names()[0]), load_data(bundled_data_names()[0])
    small = decompose(network, budget_plan(analyze(network), macs_ratio=macs_ratio))
    pictures = gallery(network, digits.test, compressed=small, prefer_changed=True)
    return print_gallery(pictures, f"With {macs_ratio:g} times less work, not yet fitted again")
