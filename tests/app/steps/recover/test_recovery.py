"""The stages of a run, in the state and in the panel."""

import json

import ipywidgets as w
import pytest
import torch

import workbench as wb
from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.steps.recover.model import calibration_images, training_images
from workbench.app.steps.recover.view import recover_panel
from workbench.app.widgets.figure_view import FigureView


def stages(state):
    return [r.stage for r in state.results]


def test_calibration_brings_most_of_it_back_without_labels(state):
    done(state, state.compress())
    fallen = state.latest
    done(state, state.calibrate())
    assert state.job.error == ""
    assert stages(state) == ["original", "decomposed", "calibrated"]
    assert state.latest.number == fallen.number
    assert state.latest.validation.top1 > fallen.validation.top1 + 10
    assert state.latest.cost == fallen.cost
    assert "200 train images without labels" in state.latest.about


def test_from_scratch_is_a_baseline_beside_it(state):
    done(state, state.compress())
    smaller = state.smaller
    done(state, state.from_scratch(epochs=1, learning_rate=1e-2))
    assert state.job.error == ""
    assert stages(state) == ["original", "decomposed", "from scratch"]
    assert len(state.curve) == 1
    assert state.smaller is smaller
    assert state.latest.stage == "decomposed"
    assert not state.results[-1].random_weights
    assert "training from scratch" in state.results[-1].about
    done(state, state.finetune(epochs=1))
    assert state.latest.stage == "fine-tuned"
    assert state.smaller.source.endswith("; fine-tuned")


def test_learning_from_the_original(state):
    done(state, state.compress())
    done(state, state.finetune(epochs=1, learn_from="both", schedule="cosine"))
    assert state.latest.stage == "fine-tuned"
    assert "and the original's answers" in state.latest.about
    done(state, state.finetune(epochs=2, learn_from="original"))
    assert state.job.error == ""
    assert [e.epoch for e in state.curve] == [1, 2]  # live: the loss, as no label is looked at
    assert state.curve[1].loss < state.curve[0].loss
    assert state.latest.stage == "distilled"
    assert "without labels" in state.latest.about


def test_a_cancelled_calibration_leaves_everything_as_it_was(state):
    done(state, state.compress())
    before, smaller = state.results, state.smaller
    state.job.observe(lambda change: change["new"] > 0.2 and state.job.cancel(), ["progress"])
    done(state, state.calibrate())
    assert state.job.note.startswith("cancelled")
    assert state.results == before
    assert state.smaller is smaller


def test_images_to_learn_from_are_never_the_test_images(data):
    empty = wb.Split(data.test.images[:0], data.test.labels[:0], "train")
    assert training_images(data) is data.train
    assert training_images(wb.Data(empty, data.validation, data.test)) is data.validation
    with pytest.raises(ValueError, match="test images only"):
        training_images(wb.Data(empty, empty, data.test, name="mine"))
    drawn = calibration_images(data, 50)
    assert len(drawn) == 50
    assert torch.equal(drawn.images, calibration_images(data, 50).images)


def test_the_panel_leads_through_the_stages(state):
    panel = recover_panel(state)
    compress, calibrate, tune, scratch = (
        find(panel, w.Button, text) for text in ("Compress", "Calibrate", "Fine-tune", "From scratch")
    )
    assert [b.disabled for b in (compress, calibrate, tune, scratch)] == [False, True, True, True]
    compress.click()
    done(state)
    assert [b.disabled for b in (compress, calibrate, tune, scratch)] == [False] * 4
    assert "Next: Calibrate" in html(panel)
    calibrate.click()
    done(state)
    assert "Next: Fine-tune" not in html(panel)  # on so easy a network little is lost
    assert "Little is lost" in html(panel)
    find(panel, w.IntText, "epochs").value = 1
    find(panel, w.Dropdown, "learn from").value = "both"
    find(panel, w.Dropdown, "schedule").value = "cosine"
    tune.click()
    done(state)
    bars = json.loads(find(panel, FigureView)[0].traces)[0]
    assert [x.partition("<br>")[0] for x in bars["x"]] == ["original", "decomposed", "calibrated", "fine-tuned"]
    assert bars["y"] == pytest.approx([r.validation.top1 for r in state.results])
    find(panel, w.Dropdown, "learn from").value = "original"
    assert scratch.disabled  # a network that knows nothing has no inner outputs worth matching
    assert not tune.disabled


def test_the_boxes_say_what_a_resumed_training_is_trained_with(state):
    panel = recover_panel(state)
    done(state, state.compress())
    done(state, state.finetune(epochs=2, learning_rate=0.002, schedule="cosine", learn_from="both"))
    assert find(panel, w.IntText, "epochs").value == 2
    assert find(panel, w.FloatText, "learning rate").value == 0.002
    assert find(panel, w.Dropdown, "schedule").value == "cosine"
    assert find(panel, w.Dropdown, "learn from").value == "both"
