"""Every notebook runs from top to bottom, hidden answers too, is committed without outputs, and is read offline."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell

from workbench.app.server import serve

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"


QUICKER = {
    r"\bepochs=\d+": "epochs=1",
    r"\bseconds=\d+": "seconds=0.1",
    r"\[:200\]": "[:40]",
    r"digits\.train\.images": "digits.train.images[:40]",
    r"\[::5\]": "[::50]",
    r"\(16, 64, 200\)": "(16,)",
    r"\(3, 6, 10\)": "(6,)",
    r"for cut in \(small, .*\):": "for cut in (small,):",
    r"\bMINUTES = 0.1": "MINUTES = 0.02",
    r"wb\.speed\(small\)": 'wb.speed(small, ("eager",), seconds=0.1)',
    r'"vgg16_cifar"': '"digits_vgg"',
    r"time_ratio=1\.5": "time_ratio=1.01",
}
"""What of a notebook's settings is replaced here, as a pattern and what takes its place."""


def read(path):
    return nbformat.read(path, as_version=4)


def text(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def run(notebook, folder):
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        for pattern, other in QUICKER.items():
            cell.source = re.sub(pattern, other, cell.source)
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(folder)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    return [set(output.get("data", {})) for cell in code for output in cell.outputs]


@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # nbclient's own event loop
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.name.startswith("2_") else pytest.mark.slow) for path in NOTEBOOKS],
    ids=lambda p: p.name,
)
def test_it_runs(path, tmp_path):
    notebook = read(path)
    for answer in re.findall(r"<details>(.*?)</details>", text(notebook), re.S):
        notebook.cells += map(new_code_cell, re.findall(r"```python\n(.*?)```", answer, re.S))
    if path.name == "explore.ipynb":  # the lines for a network of one's own
        config = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
        own, lines = re.subn(r"^# (?=(import|model|network|learn)\b)", "", config, flags=re.M)
        assert lines == 4
        notebook.cells.append(new_code_cell(own))
    shown = run(notebook, tmp_path)
    assert any(kinds & {"image/png", WIDGET} for kinds in shown)
    exporter = HTMLExporter(template_name="lesson", extra_template_basedirs=[str(ROOT / "docs")])
    html = exporter.from_notebook_node(notebook)[0]  # as `make notebooks` does
    assert "<script" not in html
    assert "//cdn" not in html
    if path.name != "dashboard.ipynb":  # nothing without its kernel
        pictures = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,[^"]{1000,}"', html)
        assert len(pictures) == sum("image/png" in kinds for kinds in shown) > 0
        assert all("image/png" in kinds for kinds in shown if WIDGET in kinds)
        assert "figure" not in pictures  # each says what it is of


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_it_is_stripped_has_a_title_and_links_that_lead_somewhere(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert not any(cell.outputs or cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert notebook.cells[0].source.startswith("# ")
    for target in re.findall(r"\]\(([^)#]+)\)", text(notebook)):
        assert target.startswith("https://") or (FOLDER / target).exists()


def test_the_served_dashboard_is_the_notebooks():
    assert read(serve.NOTEBOOK) == read(FOLDER / "dashboard.ipynb")  # it is served without a checkout, too
