"""Pages of the lessons: formulas, links, and figures that can be dragged where no kernel runs."""

import importlib.util
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import nbformat
import pytest

pytest.importorskip("latex2mathml")
SPEC = importlib.util.spec_from_file_location("lessons", Path(__file__).resolve().parents[1] / "docs/site/lessons.py")
site = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(site)


@pytest.mark.parametrize("path", site.lessons(), ids=lambda p: p.name)
def test_its_formulas_are_typeset_and_its_links_lead_to_lessons(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            text = site.linked(site.MATH.sub(site.formula, cell.source))
            assert "$" not in re.sub(r"```.*?```|`[^`\n]+`", "", text, flags=re.S)
            for formula in re.findall(r"<math.*?</math>", text):
                assert "\\" not in "".join(ET.fromstring(formula).itertext())  # noqa: S314 - our own
            for target in re.findall(r"\]\(([^):]+)\)", text):
                assert (path.parent / target) in site.lessons()


def test_a_formula_and_code():
    made = site.MATH.sub(site.formula, r"`$a$` is $a_1$, and $$\sqrt{x}$$")
    assert made.startswith("`$a$` is <math")
    assert re.findall(r'display="(\w+)"', made) == ["inline", "block"]


@pytest.fixture
def notebook():
    """An executed notebook with a text, a picture and a figure at many values."""
    figures = {"sliders": [{"name": "rank", "values": [1, 2], "at": 0}], "figures": [{"words": "</script>"}] * 2}
    data = {"application/vnd.jupyter.widget-view+json": {}, "image/png": "iVBORw==", site.FIGURES: figures}
    output = nbformat.v4.new_output
    cell = nbformat.v4.new_code_cell("draw()")
    cell.outputs = [
        output("stream", text="a < b"),
        output("display_data", data, metadata={"image/png": {"alt": "a figure"}}),
    ]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title\n\n$a$"), cell])


def test_a_page(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "CACHE", tmp_path / "cache")
    runs = []
    monkeypatch.setattr(site.NotebookClient, "execute", lambda self: runs.append(len(self.nb.cells)))
    nbformat.write(notebook, path := tmp_path / "1_new.ipynb")
    made = [site.page(site.executed(path)) for _ in range(2)]
    assert runs == [3]  # once, with a cell that asks for the figures
    assert made[0] == made[1]
    assert "<pre>a &lt; b</pre>" in made[0]
    assert "draws_all" not in made[0]
    live = re.search(r'<div class="wb-live"><img alt="a figure"[^>]+><script[^>]+>(.*?)</script>', made[0])[1]
    assert json.loads(live)["figures"][0]["words"] == "</script>"
