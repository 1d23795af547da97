import time

import pytest
from torch import nn

import workbench as wb
from workbench.app.state import State


def done(state, started=True):
    assert started
    state.job.wait(60)
    return state


def test_opening(state, network, spectra):
    assert state.network.name == "digits_vgg"
    assert state.plan == wb.evbmf_plan(spectra)
    assert state.selected == "features.3"  # where the work is
    assert [r.stage for r in state.results] == ["original"]
    assert state.original.cost.macs == spectra.total.macs
    assert state.original.test.top1 == pytest.approx(99.4)
    assert state.latest is None


def test_the_whole_journey(state):
    done(state, state.compress())
    assert state.job.error == ""
    assert state.latest.stage == "decomposed"
    assert (state.latest.cost.macs, state.latest.cost.weights) == (state.plan.macs, state.plan.weights)
    assert state.compressed_as_planned
    fallen = state.latest
    done(state, state.finetune(epochs=2, learning_rate=1e-3))
    assert len(state.curve) == 2
    assert state.latest.stage == "fine-tuned"
    assert state.latest.number == fallen.number == 1
    assert state.latest.validation.top1 > fallen.validation.top1
    assert state.latest.cost == fallen.cost
    assert "2 epochs of fine-tuning" in state.latest.about
    state.choose_ranks(rank_in=4, rank_out=6)
    assert not state.compressed_as_planned
    done(state, state.compress())
    assert [r.label for r in state.results] == [
        "original",
        "run 1, decomposed",
        "run 1, fine-tuned",
        "run 2, decomposed",
    ]
    assert "1 layer by hand" in state.latest.about


def test_editing_the_plan(state):
    state.choose_ranks(rank_in=5)
    assert state.plan["features.3"].rank_in == 5
    state.keep_layer()
    assert state.plan["features.3"].decision == "keep"
    state.reset_layer()
    assert state.plan["features.3"].reason == "EVBMF ranks"
    state.keep_layer()
    state.reset_plan()
    assert state.plan == wb.evbmf_plan(state.spectra)


def test_an_edit_that_cannot_be_is_said(state):
    before = state.plan
    state.choose_ranks(rank_in=99, rank_out=3)
    assert state.notice == "Layer features.3: rank_in=99 does not fit, it can be 1 to 32."
    assert state.plan is before
    state.choose_ranks(rank_in=9)
    assert state.notice == ""


def test_the_policy_plans_again(state):
    state.keep_layer()
    state.replan(layers="all")
    assert state.plan.policy == "EVBMF, all layers"
    assert state.plan["features.3"].decision == "keep"  # what was chosen by hand stays
    state.reset_plan()
    assert state.plan["features.3"].decision == "tucker2"


def test_cancelling_keeps_the_finished_epochs(state):
    done(state, state.compress())
    fallen = state.latest
    state.observe(lambda change: len(change["new"]) == 2 and state.job.cancel(), ["curve"])
    done(state, state.finetune(epochs=50, learning_rate=1e-3))
    assert state.job.note.startswith("cancelled")
    assert state.latest.stage == "fine-tuned"
    assert "cancelled after epoch 2 of 50" in state.latest.about
    assert fallen in state.results


def test_cancelling_at_once_leaves_everything_as_it_was(state):
    done(state, state.compress())
    before, smaller = state.results, state.smaller
    state.job.observe(lambda change: change["new"] > 0 and state.job.cancel(), ["progress"])
    state.finetune(epochs=500, learning_rate=1e-3)
    asked = time.perf_counter()
    done(state)
    assert time.perf_counter() - asked < 5
    assert state.results == before
    assert state.smaller is smaller
    assert state.job.error == ""


def test_divergence_is_a_sentence_and_nothing_is_lost(state):
    done(state, state.compress())
    done(state, state.finetune(epochs=1, learning_rate=1e-3))
    before, curve = state.results, state.curve
    done(state, state.finetune(epochs=2, learning_rate=1e30))
    assert "diverged" in state.job.error
    assert state.results == before
    assert state.curve == curve
    assert not state.job.running


def test_steps_out_of_order_are_sentences():
    state = State()
    done(state, state.compress())
    assert state.job.error == "Open a network first."
    done(state, state.finetune(epochs=1, learning_rate=1e-3))
    assert state.job.error == "Open a network first."
    state.choose_ranks(rank_in=3)
    state.keep_layer()
    state.reset_layer()
    assert state.plan is None


def test_a_network_of_ones_own(data):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6 * 16, 10))
    state = State(wb.Network(model, (1, 8, 8), name="mine"), data)
    done(state, state.open())
    assert state.job.error == ""
    assert state.network.model is model
    assert [part.name for part in state.plan] == ["0", "1", "3"]


def test_a_network_that_does_not_run_is_a_sentence(data):
    state = State(wb.Network(nn.Conv2d(3, 4, 3), (1, 8, 8), name="broken"), data)
    done(state, state.open())
    assert state.job.error.startswith("Broken does not run on one input of shape (1, 8, 8)")
    assert state.plan is None
