"""Choose and speed: what a verb gives, and what it says where it cannot."""

from dataclasses import replace

import numpy as np

from tests.app.conftest import on_a_loop
from tests.helpers.sessions import idle
from workbench.app.overview import tile_texts, verdict_text
from workbench.app.steps.speed.view import findings_html
from workbench.app.worker import JobState
from workbench.exporters.report import report


@on_a_loop
async def test_an_opening_replaces_the_one_that_runs_and_a_failed_one_leaves_what_is_open(session):
    first = session.choose.open(data="digits")
    second = session.choose.open(network="digits_vgg", data="digits")
    await idle(session)
    assert (first.state, second.state) == (JobState.CANCELLED, JobState.DONE)
    waiting = session.paper.compute()
    session.choose.open(network="no_such_network")
    assert session.choose.choice.network == "no_such_network"
    waiting.cancel()
    await idle(session)
    assert session.choose.choice.network == session.choose.network.name == "digits_vgg"
    assert "no_such_network" in session.choose.job.error


def test_speed_is_stored_unless_it_was_disturbed(session, monkeypatch, quick_speed):
    speed, recover = session.speed, session.recover
    recover.decompose()
    speed.runtimes = ("eager",)
    with monkeypatch.context() as patch:
        patch.setattr("workbench.measure.exclusive.others_computing", lambda: True)
        speed.measure()
    assert speed.findings.disturbed
    assert recover.run.measured == {}
    speed.measure()
    assert recover.run.measured["latency"][0]["runtime"] == "eager"
    assert recover.stored[0].measured.keys() == {"latency", "best_realised", "machine", "energy"}
    recover.calibrate()
    assert speed.findings is not None  # of the same run
    recover.decompose()
    assert speed.findings is None


def test_findings_stay_when_their_run_is_stored(unstored, quick_speed, monkeypatch, tmp_path):
    unstored.recover.decompose()
    unstored.speed.runtimes = ("eager",)
    unstored.speed.measure()
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs.sqlite"))
    unstored.recover.calibrate()
    assert (unstored.recover.run.number, unstored.speed.findings is None) == (1, False)


def test_page_and_report_give_one_speed_up(session, quick_speed, tmp_path):
    """That of the fastest original and the fastest compressed network, also where they are in two runtimes."""
    session.recover.decompose()
    speed, run = session.speed, session.recover.run
    speed.runtimes = ("eager",)
    speed.measure()
    one = speed.findings.speed.latencies["eager"]
    seconds = {"eager": (0.004, 0.003), "onnxruntime": (0.008, 0.001)}
    samples = {name: {"original": np.array([a]), "compressed": np.array([b])} for name, (a, b) in seconds.items()}
    runs = {name: replace(one, samples=sample) for name, sample in samples.items()}
    speed.findings = replace(speed.findings, speed=replace(speed.findings.speed, latencies=runs))
    page = report(replace(run, measured={"latency": speed.findings.speed.records}), tmp_path / "run.html")
    for shown in (tile_texts(session)["time"], findings_html(speed.findings), page.read_text(encoding="utf-8")):
        assert "x4.00 faster" in shown
    assert "In ONNX Runtime it is x4.00 faster" in verdict_text(session)
