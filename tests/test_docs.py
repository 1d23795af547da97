"""The pages hold: links lead to files, code runs, commands exist, lists are those of the code."""

import importlib.util
import json
import re
import shlex
import shutil
from operator import attrgetter
from pathlib import Path

import pytest

from benchmarks._zoo_page import page

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs"
PAGES = sorted(FOLDER.glob("*.md"))
ALL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
QUOTED = re.compile(r"""["'](?:\$)?((?:WORKBENCH|JUPYTER)_[A-Z_]+)["']""")


def read(path):
    return path.read_text(encoding="utf-8")


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", read(path), re.S | re.M)


def anchors(path):
    """Anchors of the headings of a page, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", read(path), flags=re.S | re.M), re.M):
        text = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        same = sum(re.sub(r"-\d+$", "", other) == text or other == text for other in found)
        found.append(f"{text}-{same}" if same else text)
    return found


def variables(*folders):
    """Names of our variables that are quoted in the sources below some folders."""
    found = set()
    for source in (source for folder in folders for source in (ROOT / folder).rglob("*.*")):
        if source.suffix in (".py", ".ipynb"):
            found |= set(QUOTED.findall(read(source).replace('\\"', '"')))
    return found


def table(path, heading):
    """First column of the table below a heading, of what is code in it."""
    part = read(path).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [match for line in part.splitlines() for match in re.findall(r"^\| `(\w+)` \|", line)]


@pytest.mark.parametrize("path", ALL, ids=attrgetter("name"))
def test_its_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", read(path), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        to = (path.parent / file).resolve() if file else path
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], ids=attrgetter("name"))
def test_its_python_runs(path, monkeypatch, tmp_path, capsys):
    """In a folder with a copy of the notebooks, as it stands."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    for block in blocks(path, "python"):
        exec(block, {"__name__": "block"})  # noqa: S102 - our own pages
    handouts = sorted((tmp_path / "handout").glob("*.ipynb"))
    assert len(handouts) == (6 if path.name == "teachers.md" else 0)
    for handout in handouts:  # without answers
        assert "<details>" not in read(handout)
        assert "xercises" in read(handout)


@pytest.mark.parametrize("path", ALL, ids=attrgetter("name"))
def test_its_commands_are_there(path):
    """`make` targets and variables, and modules that are run, exist."""
    makefile = read(ROOT / "Makefile")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.M)[1].split())
    for block in blocks(path, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"]:
                assert words[1] in targets, line
                for variable in words[2:]:
                    assert re.search(rf"^{variable.split('=')[0]} [?:]=", makefile, re.M), line
            elif "-m" in words and words[0].endswith("python"):
                assert importlib.util.find_spec(words[words.index("-m") + 1]), line


def test_the_page_of_networks_is_that_of_the_results():
    assert page(json.loads(read(ROOT / "benchmarks" / "zoo.json"))) == read(FOLDER / "networks.md")


def test_every_variable_is_on_a_page():
    ours = variables("workbench")
    assert sorted(table(FOLDER / "operators.md", "Variables")) == sorted(ours)
    others = {v for v in variables("tests", "benchmarks", "notebooks", "data") if v.startswith("WORKBENCH_")}
    assert sorted(table(FOLDER / "developers.md", "Variables")) == sorted(others - ours)


def test_the_page_for_users_explains_the_terms_of_the_dashboard():
    from workbench.app.widgets.glossary import TERMS

    part = read(FOLDER / "users.md").split("## What the words mean")[1]
    assert dict(re.findall(r"^\| (?!word)([^|]+) \| ([^|]+) \|$", part, re.M)) == TERMS


def test_what_the_page_for_users_calls_by_name_is_on_the_dashboard():
    sources = [read(p) for p in (ROOT / "workbench" / "app").rglob("*") if p.suffix in (".py", ".js")]
    made = (".pte", ".onnx", ".zip", ".html", ".ipynb", "int8 .pte", "int8 .onnx")
    code = " ".join(sources) + " ".join(f"Make {kind}" for kind in made)
    text = re.sub(r"\*\*.*?\*\*", "", read(FOLDER / "users.md"), flags=re.S)
    labels = {" ".join(label.split()) for label in re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", text)}
    assert len(labels) > 20
    assert [label for label in sorted(labels) if label not in code] == []
