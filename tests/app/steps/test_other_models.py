"""Choose, compare, speed and take home: what a verb gives, and what it says where it cannot."""

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
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: True)
    speed.measure()
    assert speed.findings.disturbed
    assert recover.run.measured == {}
    monkeypatch.setattr("workbench.measure.exclusive.others_computing", lambda: False)
    speed.measure()
    assert recover.run.measured["latency"][0]["runtime"] == "eager"
    assert recover.stored[0].measured.keys() == {"latency", "best_realised", "machine", "energy"}
    recover.calibrate()
    assert speed.findings is not None  # of the same run
    recover.decompose()
    assert speed.findings is None


def test_int8_files_are_quantised_on_images_without_labels(session, monkeypatch):
    asked = []

    def export(network, path, data, *, int8, progress):
        asked.append((path.name, int8))
        raise ValueError("enough")

    monkeypatch.setattr("workbench.app.steps.take_home.model.export", export)
    session.recover.decompose()
    for kind in ("onnx", "onnx_int8", "executorch_int8"):
        assert session.take_home.make(kind).error == "Enough."
    names, images = zip(*asked, strict=True)
    assert names == tuple(f"small-run1-decomposed{end}" for end in (".onnx", "-int8.onnx", "-int8.pte"))
    assert images[0] is None
    assert [(split.name, len(split)) for split in images[1:]] == [("train", len(session.choose.data.unlabelled))] * 2


@on_a_loop
async def test_files_need_a_compressed_network_that_stays(session):
    session.recover.decompose()
    await idle(session)
    session.recover.calibrate()
    job = session.take_home.make("weights")
    await idle(session)
    assert "became another one" in job.error


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


def test_a_file_comes_with_the_time_of_its_own_runtime(session):
    session.recover.decompose()
    recover, take_home = session.recover, session.take_home
    rows = [{"runtime": "onnxruntime", "dense_ms": 2.0, "compressed_ms": 1.5, "int8_ms": 0.5}]
    for latency in (rows, [*rows, None], [{"runtime": "executorch"}, *rows]):
        recover.run = replace(recover.run, measured={"latency": latency})
        assert take_home.timed("onnx").startswith("; 1.5 ms an image on this machine, the original 2 ms")
        assert take_home.timed("onnx_int8").startswith("; 0.5 ms")
        assert take_home.timed("executorch") == take_home.timed("weights") == take_home.timed("report") == ""
    recover.run = replace(recover.run, measured={"latency": "nothing"})
    assert take_home.timed("onnx") == ""
