"""Links to lessons lead to what the server that started the kernel has."""

import json
import os

import pytest

from workbench.app.server import lessons
from workbench.app.server.lessons import LESSONS, NOTEBOOKS, lesson_link, lesson_url


def test_every_lesson_of_a_step_is_there():
    words = {3: "three", 5: "five"}
    for name, minutes in LESSONS.values():
        assert f"About {words[minutes]} minutes" in (NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8")


def test_in_voila_a_long_lesson_needs_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "PAGES", tmp_path)
    names, voila = ("2_ranks_with_evbmf", LESSONS[4][0], "9_missing"), {"VOILA_BASE_URL": "/class/"}
    assert [lesson_url(name, voila) for name in names] == [f"voila/lessons/{names[0]}.html", "", ""]
    (tmp_path / f"{names[1]}.html").touch()
    assert lesson_url(names[1], voila) == f"voila/lessons/{names[1]}.html"


@pytest.mark.parametrize(
    ("root", "url"),
    [(NOTEBOOKS.parent, "/u/lab/tree/notebooks/2_ranks_with_evbmf.ipynb"), (NOTEBOOKS / "elsewhere", "")],
)
def test_in_jupyterlab(tmp_path, monkeypatch, root, url):
    monkeypatch.setattr(lessons, "jupyter_runtime_dir", lambda: str(tmp_path))
    (tmp_path / "jpserver-12.json").write_text(json.dumps({"base_url": "/u/", "root_dir": str(root)}))
    assert lesson_url("2_ranks_with_evbmf", {"JPY_PARENT_PID": "12"}) == url
    assert lesson_url("2_ranks_with_evbmf", {"JPY_PARENT_PID": "13"}) == ""


def test_the_link_of_a_step(monkeypatch):
    monkeypatch.setitem(os.environ, "VOILA_BASE_URL", "/")
    assert 'href="voila/lessons/1_a_convolution_as_a_tensor.html"' in lesson_link(2)
    assert lesson_link(1) == ""
    monkeypatch.delitem(os.environ, "VOILA_BASE_URL")
    monkeypatch.setitem(os.environ, "JPY_PARENT_PID", "0")
    assert lesson_link(2) == ""
