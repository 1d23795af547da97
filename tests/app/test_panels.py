"""Panels are tested by setting a trait and looking at the widgets: no browser."""

import json

import ipywidgets as w
import pytest
from workbench.app.state import State

from tests.app.test_state import done
from workbench.app.steps.choose.view import chooser
from workbench.app.steps.compare.view import tradeoff_panel
from workbench.app.steps.look.overview import card_texts
from workbench.app.steps.plan.spectrum_view import spectrum_panel
from workbench.app.steps.recover.view import advice_text, progress_bar, recover_panel
from workbench.app.widgets.figure_view import FigureView
from workbench.app.widgets.layer_table import layer_table, rows


def find(widget, kind, description=None):
    """All widgets of a kind below one, or the one with that description."""
    found = []
    stack = [widget]
    while stack:
        item = stack.pop(0)
        if isinstance(item, kind):
            found.append(item)
        stack.extend(getattr(item, "children", ()))
    if description is None:
        return found
    return next(f for f in found if f.description == description)


def html(widget):
    return " ".join(item.value for item in find(widget, w.HTML))


def points(view, trace):
    x = json.loads(view.traces)[trace].get("x", [])
    return x


def test_the_table_follows_the_plan(state):
    table = layer_table(state)
    assert [row["name"] for row in table.rows] == [part.name for part in state.plan]
    assert set(table.rows[0]) >= {column["key"] for column in table.columns}
    assert table.rows[1]["ranks"] == "14 x 16"
    state.choose_ranks(rank_in=3, rank_out=4)
    assert table.rows[1]["ranks"] == "3 x 4"
    assert table.rows[1]["reason"] == "chosen by hand"
    assert sum(row["share"] for row in rows(state)) == pytest.approx(1, abs=0.01)


def test_selection_goes_both_ways(state):
    table = layer_table(state)
    assert table.selected == state.selected
    table.selected = "features.10"
    assert state.selected == "features.10"
    state.selected = "classifier.2"
    assert table.selected == "classifier.2"


def test_a_slider_moves_cost_error_and_spectrum(state):
    panel = spectrum_panel(state)
    slider = find(panel, w.IntSlider, "input rank")
    view = find(panel, FigureView)[0]
    before, text, around = state.plan["features.3"], html(panel), view.around
    assert (slider.value, slider.max) == (14, 32)
    slider.value = 6
    after = state.plan["features.3"]
    assert after.rank_in == 6
    assert after.rank_out == before.rank_out
    assert after.cost.macs < before.cost.macs
    assert after.error > before.error
    assert html(panel) != text
    assert view.around != around
    assert "6 of 32 directions kept" in view.around


def test_the_spectrum_follows_the_selection(state):
    panel = spectrum_panel(state)
    state.selected = "features.17"
    assert find(panel, w.IntSlider, "output rank").max == 128
    assert "features.17" in html(panel)
    state.selected = "classifier.2"
    assert find(panel, w.IntSlider, "input rank").disabled
    assert state.plan["classifier.2"].reason == "EVBMF ranks"  # looking changes nothing


def test_keep_and_back(state):
    panel = spectrum_panel(state)
    find(panel, w.Button, "Keep layer as it is").click()
    assert state.plan["features.3"].decision == "keep"
    assert "kept by hand" in html(panel)
    find(panel, w.IntSlider, "output rank").value = 5
    part = state.plan["features.3"]
    assert (part.decision, part.rank_in, part.rank_out) == ("tucker2", 14, 5)
    find(panel, w.Button, "EVBMF ranks").click()
    assert state.plan["features.3"].reason == "EVBMF ranks"


def test_cards_show_original_planned_and_measured(state):
    weights, macs, accuracy = card_texts(state)
    assert "560 k" in weights
    assert "90.0 k" in weights
    assert "x6.23 fewer" in weights
    assert "x5.25 fewer" in macs
    assert "99.4 %" in accuracy
    low, high = state.original.test.interval
    assert f"{low:.1f} to {high:.1f} %" in accuracy
    assert "on 500" in accuracy
    assert "after Compress" in accuracy
    state.compress()
    state.job.wait(60)
    weights, macs, accuracy = card_texts(state)
    assert macs.count("x5.25 fewer") == 2
    assert "points" in accuracy
    assert "decomposed" in accuracy


def test_buttons_wait_for_their_turn(state):
    panel = recover_panel(state)
    tune, compress = find(panel, w.Button, "Fine-tune"), find(panel, w.Button, "Compress")
    assert tune.disabled
    assert not compress.disabled
    assert "Next: Compress" in html(panel)
    compress.click()
    assert compress.disabled
    state.job.wait(60)
    assert not tune.disabled
    assert "Next: Calibrate" in html(panel)
    find(panel, w.IntText, "epochs").value = 1
    tune.click()
    state.job.wait(60)
    assert state.latest.stage == "fine-tuned"
    curve = find(panel, FigureView)[1]
    assert points(curve, 0) == [0, 1]
    state.choose_ranks(rank_in=3)
    assert "The plan has changed" in html(panel)


def test_every_result_is_a_point(state):
    view = tradeoff_panel(state)
    assert points(view, 2) == [4.3136]
    state.compress()
    state.job.wait(60)
    assert points(view, 3) == [state.plan.macs / 1e6]


def test_progress_error_and_cancel(state):
    panel = progress_bar(state, "Opening")
    cancel = find(panel, w.Button, "Cancel")
    assert cancel.disabled
    state.job.set_trait("running", True)
    state.job.progress = 0.4
    assert not cancel.disabled
    assert find(panel, w.FloatProgress)[0].value == 0.4
    assert cancel.layout.visibility == "visible"
    cancel.click()
    assert state.job.cancelled()
    state.job.set_trait("running", False)
    state.job.error = "The disk is full."
    assert "The disk is full." in html(panel)


def test_what_was_said_is_escaped(state):
    panel = progress_bar(state, "Opening")
    state.job.error = "<script>alert(1)</script>"
    assert "<script>" not in html(panel)


def test_before_anything_is_open():
    state = State()
    assert rows(state) == []
    assert "Pick a layer" in html(spectrum_panel(state))
    assert advice_text(state) == "The network is being opened."
    assert "&ndash;" in card_texts(state)[0]
    assert find(recover_panel(state), w.Button, "Compress").disabled


def test_choosing_opens(state):
    panel = chooser(state)
    assert find(panel, w.Dropdown, "Network").value == "digits_vgg"


def test_progress_is_shown_where_the_work_was_started(state):
    top, below = progress_bar(state, "Opening"), progress_bar(state, "Compressing", "Fine-tuning")
    shown = html(top)
    assert "Opening digits_vgg" in shown
    assert "Opening" not in html(below)
    state.compress()
    assert html(top) == shown  # nothing jumps
    assert "Compressing" in html(below)
    assert find(below, w.Button, "Cancel").layout.visibility == "visible"
    assert find(top, w.Button, "Cancel").layout.visibility == "hidden"
    state.job.wait(60)
    assert find(below, w.Button, "Cancel").layout.visibility == "hidden"


def test_a_bar_leaves_with_its_work(state):
    """Work that follows at once, like training that goes on, must not leave a Cancel behind that cancels nothing."""
    box = progress_bar(state, "Opening", but="Opening run")
    cancel = find(box, w.Button, "Cancel")
    state.job.running, state.job.title = True, "Opening digits_vgg"
    assert cancel.layout.visibility == "visible"
    for title in ("Fine-tuning run 1", "Opening run 1"):
        state.job.title = title
        assert cancel.layout.visibility == "hidden"
        assert "Opening digits_vgg" in html(box)
    state.job.running = False


def test_what_is_said_of_a_network_goes_as_another_is_opened(state):
    box = progress_bar(state, "Compressing")
    done(state, state.compress())
    assert "<b>Compressing</b>: done in" in html(box)
    done(state, state.resume(state.number))
    assert "<b>Compressing</b>: done in" in html(box)
    state.compress()
    state.job.cancel()
    done(state)
    state.open(network="resnet20", weights="random")
    assert "Compressing" not in html(box)
    done(state)


def test_what_was_wrong_with_a_number_is_not_said_of_later_work(state):
    panel = recover_panel(state)
    epochs = find(panel, w.IntText, "epochs")
    epochs.value = -3
    assert (epochs.value, "not -3" in epochs.words.value) == (10, True)
    state.job.running = True
    assert epochs.words.value == ""
    state.job.running = False
