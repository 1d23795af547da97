"""MkDocs hook: pages of the executed lessons; run as a script, it writes them as HTML pages into ``build/notebooks``.

Executed notebooks are kept in ``build/lessons`` for as long as neither they nor the package change.
"""

import hashlib
import json
import re
import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from plotly.offline import get_plotlyjs

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
CACHE, PAGES = ROOT / "build" / "lessons", ROOT / "build" / "notebooks"
LIVE = Path(__file__).parent / "live.js"
FIGURES = "application/vnd.workbench.figures+json"
CELL_TIMEOUT_S = 600
FIRST_CELL = "from workbench.app.widgets.explorer import Explorer\n\nExplorer.draws_all = True"
MATH = re.compile(r"(```.*?```|`[^`\n]+`)|\$\$(.+?)\$\$|\$(?! )([^$\n]+?)(?<! )\$", re.S)
"""Code, which stays as it is; a formula that is displayed; a formula in a line."""


def lessons() -> list[Path]:
    """Return the numbered notebooks."""
    return sorted(NOTEBOOKS.glob("[0-9]_*.ipynb"))


def on_config(config: Any) -> Any:
    """Put the lessons into the navigation, after the page for teachers."""
    at = [next(iter(entry.values())) for entry in config.nav].index("teachers.md") + 1
    config.nav.insert(at, {"Lessons": [f"lessons/{path.stem}.md" for path in lessons()]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each lesson, and the scripts of its figures."""
    from mkdocs.structure.files import File

    contents: dict[str, Any] = {f"lessons/{path.stem}.md": page(executed(path)) for path in lessons()}
    contents |= {"lessons/live.js": LIVE.read_text(encoding="utf-8"), "lessons/plotly.min.js": get_plotlyjs()}
    for name, content in contents.items():
        files.append(File.generated(config, name, content=content))
    return files


def executed(path: Path) -> Any:
    """Return a notebook with its outputs, from the cache or by running it, and with formulas and figures for a page."""
    package = ROOT / "workbench"
    sources = [path, *sorted(package.rglob("*.py")), *sorted((package / "catalog" / "bundled").iterdir())]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    cached = CACHE / f"{path.stem}-{digest}.ipynb"
    notebook: Any
    if cached.exists():
        notebook = nbformat.read(cached, as_version=4)
    else:
        print(f"Running {path.name} ...", file=sys.stderr, flush=True)  # noqa: T201
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(FIRST_CELL))
        with TemporaryDirectory() as folder:
            NotebookClient(notebook, timeout=CELL_TIMEOUT_S, resources={"metadata": {"path": folder}}).execute()
        del notebook.cells[0]
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob(f"{path.stem}-*.ipynb"):
            old.unlink()
        nbformat.write(notebook, cached)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(MATH.sub(formula, cell.source))
        for output in cell.get("outputs", []):
            if FIGURES in output.get("data", {}):
                output.data = {"text/html": live_figure(output), "image/png": output.data["image/png"]}
    return notebook


def formula(found: re.Match[str]) -> str:
    """Return a formula as MathML, and code as it is."""
    code, block, inline = found.groups()
    return code or str(convert(block or inline, display="block" if block else "inline"))


def linked(text: str) -> str:
    """Return text with its pictures inside, and without links to notebooks that are no lessons."""

    def inside(picture: re.Match[str]) -> str:
        content = b64encode((NOTEBOOKS / picture[2]).read_bytes()).decode()
        return f"![{picture[1]}](data:image/png;base64,{content})"

    text = re.sub(r"!\[([^\]]*)\]\(([^):]+\.png)\)", inside, text)
    names = "|".join(path.stem for path in lessons())
    return re.sub(rf"\[([^\]]+)\]\((?!(?:{names})\.ipynb)[^):]+\.ipynb\)", r"\1", text)


def live_figure(output: Any) -> str:
    """Return the still picture of a figure, and its data, of which ``live.js`` makes sliders and a live figure."""
    figures = json.dumps(output.data[FIGURES]).replace("</", "<\\/")
    return (
        f'<div class="wb-live">{picture(output)}<script type="application/json">{figures}</script></div>'
        '<script src="live.js"></script>'
    )


def picture(output: Any) -> str:
    """Return the PNG image of an output with its alternative text."""
    alt = output.metadata.get("image/png", {}).get("alt", "figure")
    content = output.data["image/png"]
    data = content.replace("\n", "") if isinstance(content, str) else b64encode(content).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def page(notebook: Any) -> str:
    """Return a notebook with outputs as Markdown."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source.replace(".ipynb)", ".md)").replace("<details>", '<details markdown="1">'))
        else:
            parts += [f"```python\n{cell.source}\n```", *shown(cell)]
    return "\n\n".join(parts) + "\n"


def shown(cell: Any) -> Iterator[str]:
    """Yield the outputs of a cell as HTML."""
    for output in cell.outputs:
        data = output.get("data", {})
        if "text/html" in data:
            yield f'<div class="wb-output">{data["text/html"]}</div>'
        elif "image/png" in data:
            yield f'<div class="wb-output">{picture(output)}</div>'
        elif text := output.get("text") or data.get("text/plain", ""):
            yield f"<pre>{escape(text)}</pre>"


def main() -> None:
    """Write the lessons and the template to start from as HTML pages that need nothing from elsewhere."""
    PAGES.mkdir(parents=True, exist_ok=True)
    exporter = HTMLExporter(template_name="lesson", extra_template_basedirs=[str(ROOT / "docs")])
    for path in [*lessons(), NOTEBOOKS / "explore.ipynb"]:
        html = exporter.from_notebook_node(executed(path), {"metadata": {"name": path.stem}})[0]
        (PAGES / f"{path.stem}.html").write_text(html, encoding="utf-8")
    shutil.copy(LIVE, PAGES)
    (PAGES / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")


if __name__ == "__main__":
    main()
