"""EVBMF or a budget, by setting what the boxes set."""

from html import unescape

import ipywidgets as w
import pytest

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.steps.plan.model import Planning
from workbench.app.steps.plan.view import planner_panel
from workbench.plan.budget import budget_plan


def test_evbmf_is_the_default_and_its_strength_scales_it(state, spectra):
    panel = planner_panel(state)
    assert state.plan == wb.evbmf_plan(spectra)
    slider = find(panel, w.FloatSlider, "EVBMF strength")
    slider.value = 1.5
    assert state.plan == wb.evbmf_plan(spectra, strength=1.5)
    assert state.plan.macs_ratio > wb.evbmf_plan(spectra).macs_ratio
    assert "harder" in html(panel)
    for text in ("fewer MACs, times", "fewer weights, times"):
        assert find(panel, w.FloatSlider, text).layout.display == "none"


def test_a_budget_is_met_and_follows_its_slider(state, spectra):
    panel = planner_panel(state)
    find(panel, w.Dropdown, "Ranks by").value = "budget"
    assert state.planning.layers == "all"
    budget = find(panel, w.FloatSlider, "fewer MACs, times")
    assert budget.layout.display == ""
    assert find(panel, w.FloatSlider, "EVBMF strength").layout.display == "none"
    for ratio in (2.0, 5.0, 8.0):
        budget.value = ratio
        assert state.plan == budget_plan(spectra, ratio)
        assert state.plan.macs_ratio >= ratio
    small = find(panel, w.FloatSlider, "fewer weights, times")
    budget.value, small.value = 2.0, 9.0
    assert state.plan == budget_plan(spectra, 2.0, weights_ratio=9.0)
    assert state.plan.weights_ratio >= 9.0
    small.value = 1.0
    assert state.plan == budget_plan(spectra, 2.0)
    find(panel, w.Dropdown, "Ranks").value = 8
    ranks = [r for part in state.plan for r in (part.rank_in, part.rank_out) if r is not None]
    assert ranks
    assert all(r % 8 == 0 for r in ranks)
    find(panel, w.Dropdown, "Ranks by").value = "evbmf"
    assert state.plan == wb.evbmf_plan(spectra)


def test_what_was_chosen_by_hand_is_pinned_under_a_budget(state):
    state.replan(planner="budget", layers="all", macs_ratio=3.0)
    state.choose_ranks(rank_in=9, rank_out=11)
    state.replan(macs_ratio=4.0)
    part = state.plan["features.3"]
    assert (part.rank_in, part.rank_out, part.by_hand) == (9, 11, True)
    assert state.plan.macs_ratio >= 4.0
    state.selected = "features.10"
    state.keep_layer()
    state.replan(macs_ratio=2.0)
    assert state.plan["features.10"].decision == "keep"
    state.reset_plan()
    assert not any(part.by_hand for part in state.plan)


def test_a_budget_out_of_reach_is_a_sentence_and_the_plan_stays(state):
    panel = planner_panel(state)
    state.replan(planner="budget", layers="spatial", macs_ratio=3.0)
    before = state.plan
    state.keep_layer()
    kept = state.plan
    state.replan(macs_ratio=500.0)
    assert state.plan is kept
    assert "out of reach" in state.notice
    assert state.notice in html(panel)
    state.reset_plan()
    assert "out of reach" in state.notice
    state.replan(macs_ratio=3.0)
    assert state.notice == ""
    assert before is not None


def test_measured_layers_steer_the_budget(state, spectra):
    panel = planner_panel(state)
    state.replan(planner="budget", layers="all", macs_ratio=5.0)
    by_weights = state.plan
    sense = find(panel, w.Button, "Measure layers")
    assert not sense.disabled
    sense.click()
    done(state)
    assert state.job.error == ""
    assert state.measured.images == 48
    assert state.plan == budget_plan(spectra, 5.0, images=state.measured)
    assert state.plan != by_weights
    assert "on 48 images" in html(panel)
    assert sense.disabled
    done(state, state.open(network="resnet20"))
    assert state.measured is None


def test_an_unreachable_budget_gives_way_when_another_network_is_opened(state):
    state.replan(planner="budget", layers="spatial", macs_ratio=9.5)
    panel = planner_panel(state)
    done(state, state.open(network="mobilenet_v2", weights="random"))
    assert state.job.error == ""
    assert state.plan.network == "mobilenet_v2"
    assert state.plan.policy.startswith("EVBMF")
    assert "MACs x9.5 is out of reach" in state.notice
    assert state.notice.endswith("This is EVBMF's plan.")
    assert state.notice in unescape(html(panel))
    done(state, state.open(network="resnet20", weights="random"))
    assert state.notice == ""
    assert state.plan.macs_ratio >= 9.5


def test_settings_plan_alike(spectra):
    settings = Planning("budget", "all", macs_ratio=4.0)
    assert settings.plan(spectra) == settings.plan(spectra)
    with pytest.raises(ValueError, match="strength"):
        Planning(strength=-1.0).plan(spectra)


def test_settings_come_back_from_what_was_kept():
    settings = Planning("budget", "all", macs_ratio=4.0, rank_multiple=8)
    assert Planning.of(settings.used()) == settings
    assert Planning.of({**settings.used(), "source": "a file"}) == settings


@pytest.mark.parametrize(
    "values",
    [{"planner": "magic"}, {"layers": "some"}, {"macs_ratio": "4"}, {"strength": float("nan")}, {"planner": []}],
)
def test_settings_that_make_no_sense(values):
    with pytest.raises(ValueError, match="settings of the planner make no sense"):
        Planning.of(values)


def test_a_budget_of_time_needs_the_clock_once(state, monkeypatch):
    from tests.plan.test_layer_times import machine

    panel = planner_panel(state)
    before = state.plan
    find(panel, w.Dropdown, "Ranks by").value = "time"
    assert state.plan is before
    assert "not known yet: press Time layers" in state.notice
    assert (state.planning.layers, state.planning.rank_multiple) == ("all", 8)
    times = machine(state.spectra, overhead=1e-6)
    monkeypatch.setattr("workbench.app.tasks.measure_times", lambda *_, **__: times)
    clock = find(panel, w.Button, "Time layers")
    assert not clock.disabled
    clock.click()
    done(state)
    assert state.times is times
    assert state.notice == ""
    assert clock.disabled
    faster = find(panel, w.FloatSlider, "times as fast")
    assert faster.layout.display == ""
    for ratio in (1.5, 2.5):
        faster.value = ratio
        assert times.speedup(state.plan) >= ratio
        assert f"{1e3 * times.of(state.plan):.3g} ms" in html(panel)
    faster.value = 6.0
    state.replan(time_ratio=600.0)
    assert "the most on this machine is" in state.notice
    done(state, state.open(network="resnet20"))
    assert state.times is None
    assert state.plan.network == "resnet20"


def test_a_run_is_told_what_had_a_say():
    assert set(Planning().used()) == {"planner", "layers", "strength"}
    used = Planning(planner="budget", macs_ratio=3.0).used()
    assert used == {
        "planner": "budget",
        "layers": "default",
        "macs_ratio": 3.0,
        "weights_ratio": 1.0,
        "rank_multiple": 1,
    }
    assert "time_ratio" in Planning(planner="time").used()
