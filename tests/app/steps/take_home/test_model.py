"""Files to take home, by pressing the panel's buttons."""

import json
import zipfile
from dataclasses import replace
from html import unescape

import ipywidgets as w
import numpy as np
import pytest

from tests.app.test_panels import find, html
from tests.app.test_state import done
from workbench.app.state import State
from workbench.app.steps.take_home import model as module
from workbench.app.steps.take_home.model import KINDS, Exports, file_name, size
from workbench.app.steps.take_home.view import export_panel
from workbench.app.widgets.download import PIECE, Download


def fetched(download):
    """What a page would save: it asks piece by piece."""
    sent = []
    download.send = lambda content, buffers: sent.append((content, buffers[0]))
    content, at = b"", 0
    while at < download.size:
        download._heard(download, {"at": at}, [])
        reply, piece = sent[-1]
        assert reply == {"at": at, "size": len(piece)}
        assert 0 < len(piece) <= PIECE
        content, at = content + piece, at + len(piece)
    return content


@pytest.fixture(scope="module")
def finished():
    """A session with a compressed network and all its files."""
    state = State()
    done(state, state.open())
    exports = Exports(state)
    panel = export_panel(state, exports)
    assert all(button.disabled for button in find(panel, w.Button) if button.description.startswith("Make"))
    assert "Compress the network first" in html(panel)
    done(state, state.compress())
    for kind, about in KINDS.items():
        find(panel, w.Button, f"Make {about.suffix}").click()
        exports.job.wait(300)
        assert exports.job.error == "", kind
    return state, exports, panel


def test_every_kind_is_made_checked_and_saved(finished):
    _, exports, panel = finished
    assert {made.kind for made in exports.made} == set(KINDS)
    for (kind, about), download in zip(KINDS.items(), find(panel, Download), strict=True):
        made = exports.of(kind)
        assert download.name == made.name == f"digits_vgg-run1-decomposed{about.suffix}"
        assert fetched(download) == made.path.read_bytes()
        assert made.words in unescape(html(panel))


def test_the_onnx_file_answers_as_the_network_does(finished, data):
    import onnxruntime

    state, exports, _ = finished
    session = onnxruntime.InferenceSession(exports.of("onnx").path, providers=["CPUExecutionProvider"])
    images = state.smaller.inputs(data.test.images[:20])
    wanted = state.smaller.model.eval()(images).detach().numpy()
    name = session.get_inputs()[0].name
    found = np.concatenate([session.run(None, {name: image[None].numpy()})[0] for image in images])
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert (found.argmax(1) == wanted.argmax(1)).all()


def test_the_zip_holds_the_plan_and_the_report_the_figures(finished):
    state, exports, _ = finished
    with zipfile.ZipFile(exports.of("weights").path) as file:
        plan = next(name for name in file.namelist() if name.endswith("plan.json"))
        assert len(json.loads(file.read(plan))["layers"]) == len(state.plan)
    text = exports.of("report").path.read_text()
    assert "digits_vgg" in text
    assert f"{state.plan.macs_ratio:.2f}" in text


def test_files_go_when_another_network_is_worked_on(state):
    exports = Exports(state)
    panel = export_panel(state, exports)
    done(state, state.compress())
    exports.make("report")
    exports.job.wait(60)
    assert exports.made
    done(state, state.compress())
    assert exports.made == ()
    assert exports.job.note == ""
    assert {download.size for download in find(panel, Download)} == {0}


@pytest.mark.parametrize("heard", [True, False])
def test_it_is_said_that_another_network_came_while_a_file_was_made(state, monkeypatch, heard):
    """Whether the change stops the making or comes after its last step."""
    exports, known = Exports(state), module.export_weights
    done(state, state.compress())

    def export_weights(*given, progress, **settings):
        made = known(*given, progress=progress, **settings)
        state.smaller = replace(state.smaller)
        if heard:
            progress(0.99, "checking")
        return made

    monkeypatch.setattr(module, "export_weights", export_weights)
    panel = export_panel(state, exports)
    exports.make("weights")
    exports.job.wait(60)
    assert exports.made == ()
    assert "became another one while its file was made: make it again." in html(panel)


def test_what_is_absent_says_how_to_get_it(state, monkeypatch):
    monkeypatch.setattr("workbench.exporters.executorch.missing", lambda: "ExecuTorch is not installed here: get it.")
    panel = export_panel(state)
    done(state, state.compress())
    assert find(panel, w.Button, "Make .pte").disabled
    assert not find(panel, w.Button, "Make .onnx").disabled
    assert "ExecuTorch is not installed here: get it." in html(panel)


def test_before_there_is_a_network_it_is_a_sentence():
    exports = Exports(State())
    exports.make("onnx")
    exports.job.wait(10)
    assert exports.job.error == "Compress the network first: then it can be taken home."


@pytest.mark.parametrize("message", [None, {}, {"at": -1}, {"at": "0"}, {"at": 10**9}, {"at": 1.5}, [], "at"])
def test_messages_that_make_no_sense_get_nothing(message, tmp_path):
    download, sent = Download(), []
    download.send = lambda content, buffers: sent.append(buffers[0])
    (tmp_path / "file.bin").write_bytes(b"content")
    download.offer(tmp_path / "file.bin")
    download._heard(download, message, [])
    assert sent == [b""]


def test_a_file_that_has_gone_ends_the_download(tmp_path):
    download, sent = Download(), []
    download.send = lambda content, buffers: sent.append(buffers[0])
    path = tmp_path / "file.bin"
    path.write_bytes(b"content")
    download.offer(path)
    path.unlink()
    download._heard(download, {"at": 0}, [])
    download.offer(None)
    download._heard(download, {"at": 0}, [])
    assert sent == [b"", b""]


def test_names_are_safe_and_sizes_in_words(state):
    done(state, state.compress())
    stage = state.newest
    strange = stage.network.__class__(stage.network.model, (1, 8, 8), name="../é a/b")
    assert file_name(stage.__class__(strange, stage.result), "onnx") == "___a_b-run1-decomposed.onnx"
    assert (size(2_249_344), size(12_345)) == ("2.2 MB", "12.3 kB")
