"""Speed and energy, by pressing the panel's buttons."""

import json
import threading
import time
from dataclasses import replace
from html import unescape

import ipywidgets as w
import numpy as np
import pytest

from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.state import State
from workbench.app.steps.speed import model as module
from workbench.app.steps.speed.model import Speeds
from workbench.app.steps.speed.view import findings_html, speed_panel
from workbench.app.widgets.figure_view import FigureView
from workbench.measure.latency import Latency, Speed


@pytest.fixture
def quick(monkeypatch):
    """Timings that are known: the compressed network is twice as fast in one runtime, the other is absent."""

    def speed(network, smaller, runtimes, **settings):
        settings["progress"](0.5, "timing")
        samples = {"original": np.full(7, 0.02), "compressed": np.full(7, 0.01)}
        found = Latency("eager", settings["batch"], settings["threads"], settings["channels_last"], samples)
        absent = {name: f"{name} is not installed here." for name in runtimes if name != "eager"}
        return Speed(smaller.plan.macs_ratio, {"eager": found}, absent)

    monkeypatch.setattr(module, "speed", speed)


def test_measured_shown_and_kept(state, quick):
    model = Speeds(state)
    panel = speed_panel(state, model)
    measure = find(panel, w.Button, "Measure")
    assert measure.disabled
    assert "Compress the network first" in html(panel)
    done(state, state.compress())
    assert not measure.disabled
    find(panel, w.IntText, "threads").value = 2
    measure.click()
    model.job.wait(120)
    assert model.job.error == ""
    findings = model.findings
    ratio = state.plan.macs_ratio
    text = html(panel)
    assert f"x{ratio:.2f} fewer" in text
    assert "x2.00 faster" in text
    assert f"{100 * 2 / ratio:.0f} %" in text
    assert "onnxruntime is not installed here." in text
    assert findings.explained in unescape(text)
    assert "2 threads" in text
    figures = {figure.label: json.loads(figure.traces) for figure in find(panel, FigureView)}
    drawn = {name for name, data in figures.items() if any(trace.get("x") or trace.get("y") for trace in data)}
    assert drawn >= {"Time of each layer", "Roofline of this machine", "Energy for one image"}
    assert ("Power over time" in drawn) == findings.energies[0].measured
    run = state.runs[-1]
    assert run.measured["latency"][0]["realised"] == pytest.approx(2 / ratio)
    assert run.measured["energy"]["dense_mj"] > run.measured["energy"]["compressed_mj"] > 0


def test_every_joule_is_an_estimate_where_there_is_no_counter(state, quick, monkeypatch):
    monkeypatch.setattr("workbench.measure.counters.find_meter", lambda *_: "There is no energy counter here.")
    monkeypatch.setattr("workbench.measure.energy.find_meter", lambda *_: "There is no energy counter here.")
    model = Speeds(state)
    done(state, state.compress())
    model.measure()
    model.job.wait(120)
    assert not model.findings.energies[0].measured
    text = findings_html(model.findings)
    place = text.index("J")
    joules = [i for i in range(len(text)) if text.startswith(("J ", "J."), i) and text[max(0, i - 2)] in " m0123456789"]
    assert joules
    assert place >= 0
    assert "estimate" in model.findings.saved_energy
    for i in joules:
        assert "estimate" in text[max(0, i - 160) : i + 160]
    assert state.runs[-1].measured["energy"]["measured"] is False


def test_what_was_measured_goes_with_its_network(state, quick):
    model = Speeds(state)
    done(state, state.compress())
    model.measure()
    model.job.wait(120)
    assert model.findings is not None
    assert model.job.note.startswith("done in")
    done(state, state.compress())
    assert model.findings is None
    assert model.job.note == ""
    model.measure()
    model.job.wait(120)
    done(state, state.open(network="resnet20"))
    assert model.findings is None
    assert "Compress the network first" in model.note


def test_measured_is_what_the_work_that_is_ending_has_made(state, quick):
    """Somebody presses Measure a moment before fine-tuning ends."""
    done(state, state.compress())
    model, pressed, before = Speeds(state), threading.Event(), state.smaller
    later = replace(before)

    def work(_):
        assert pressed.wait(60)
        time.sleep(0.2)
        state._later(smaller=later)

    assert state.job.start("Fine-tuning run 1", work)
    model.measure()
    pressed.set()
    model.job.wait(120)
    assert model.job.error == ""
    assert state.smaller is later
    assert model.findings is not None


def test_it_is_said_that_another_network_came_while_one_was_measured(state, quick, monkeypatch):
    done(state, state.compress())
    model, before, known = Speeds(state), state.smaller, module.energies

    def energies(*given, **settings):
        state.smaller = state.smaller and replace(state.smaller)
        return known(*given, **settings)

    monkeypatch.setattr(module, "energies", energies)
    panel = speed_panel(state, model)
    model.measure()
    model.job.wait(120)
    assert state.smaller is not before
    assert model.findings is None
    assert "became another one while it was measured: press Measure again." in html(panel)
    assert "latency" not in state.runs[-1].measured


def test_work_that_begins_meanwhile_ends_the_measuring(state, quick, monkeypatch):
    done(state, state.compress())
    model, begun, ended = Speeds(state), threading.Event(), threading.Event()
    known = module.energies

    def energies(*given, **settings):
        assert state.job.start("Fine-tuning run 1", lambda _: ended.wait(60))
        begun.set()
        return known(*given, **settings)

    monkeypatch.setattr(module, "energies", energies)
    model.measure()
    model.job.wait(120)
    ended.set()
    state.job.wait(60)
    assert begun.is_set()
    assert model.findings is None
    assert model.job.error == "Other work began and would have spoiled the times: press Measure again."
    monkeypatch.setattr(module, "energies", known)
    model.measure()
    model.job.wait(120)
    assert model.job.error == ""
    assert model.findings is not None


def test_cancelled_and_refused_in_a_sentence(state, quick, monkeypatch):
    model = Speeds(State())
    panel = speed_panel(model._state, model)
    model.measure()
    model.job.wait(10)
    assert model.job.error in unescape(html(panel))
    assert model.job.error.startswith("Compress the network first")
    model = Speeds(state)
    done(state, state.compress())
    model.runtimes = ()
    model.measure()
    model.job.wait(10)
    assert model.job.error == "Choose at least one runtime to measure in."
    model.runtimes = ("eager",)
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    state.job.running = True
    model.measure()
    model.job.wait(10)
    assert "would spoil the times" in model.job.error
    state.job.running = False


def test_a_layer_is_picked_in_the_figures_and_marked_there(state, quick):
    done(state, state.compress())
    model = Speeds(state)
    panel = speed_panel(state, model)
    model.measure()
    model.job.wait(120)
    times, roof = find(panel, FigureView)[:2]
    ids = [i for trace in json.loads(roof.traces) for i in trace.get("ids", ())]
    assert {i.split("#")[0] for i in ids} <= {part.name for part in state.plan}
    roof.picked = next(i for i in ids if i.startswith("features.10"))
    assert state.selected == "features.10"
    assert "<b>▸ features.10</b>" in json.loads(times.around)["xaxis"]["ticktext"]
    marked = [trace for trace in json.loads(roof.traces) if trace.get("ids")]
    shades = [
        (i.split("#")[0], shade)
        for trace in marked
        for i, shade in zip(trace["ids"], trace["marker"]["opacity"], strict=True)
    ]
    assert {name for name, shade in shades if shade > 0.9} == {"features.10"}
    times.picked = "features.3"
    assert state.selected == "features.3"
    times.picked = "everything else"
    assert state.selected == "features.3"


def test_a_slower_network_is_not_called_faster(state, quick):
    done(state, state.compress())
    model = Speeds(state)
    model.measure()
    model.job.wait(120)
    samples = {"original": np.full(7, 0.0099), "compressed": np.full(7, 0.01)}
    slow = Latency("eager", 1, 1, False, samples)
    text = findings_html(replace(model.findings, speed=Speed(2.0, {"eager": slow}, {})))
    assert "<b>x1.01 slower</b><span class='wb-loss'>" in text
    assert "wb-loss" not in findings_html(model.findings)
    assert "<b>x2.00 fewer</b>" in text
