"""Imports run one way: app -> catalog (and its neighbours) -> compression -> kernels; and kernels load no widget."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {"kernels": 0, "compression": 1, "catalog": 2, "export": 2, "measure": 2, "app": 3}
LEVELS |= dict.fromkeys(("database", "run", "runs", "sweeps", "launch"), 2)
LEAVES = {"workbench.files"}
"""Modules that stand on nothing of ours, so that anything may use them."""
BELOW_APP = ("ipywidgets", "traitlets", "IPython", "plotly", "anywidget")
APP = {
    "results": 0,
    "opening": 0,
    "plain": 0,
    "figures": 0,
    "prints": 2,
    "factors": 1,
    "factor_figures": 2,
    "prints_kernel": 2,
    "prints_factors": 3,
    "jobs": 0,
    "edits": 0,
    "rest": 0,
    "logs": 0,
    "glossary": 0,
    "planning": 0,
    "comparison": 1,
    "rooflines": 1,
    "energies": 1,
    "glance": 1,
    "recovery": 0,
    "history": 1,
    "sessions": 2,
    "work": 1,
    "tasks": 1,
    "state": 2,
    "pictures": 3,
    "paper": 3,
    "curves": 3,
    "speeds": 3,
    "exports": 3,
    "journey": 3,
    "keeper": 3,
    "panels": 4,
    "classroom": 5,
    "dashboard": 5,
    "serve": 5,
    "server": 5,
}


def imports(source):
    """Names of all modules that a source imports at run time (not under TYPE_CHECKING)."""
    tree = ast.parse(source)
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(folder):
    """(module, imported) for every import that runs the wrong way below a `workbench` folder."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts == ("__init__",) or f"workbench.{parts[0]}" in LEAVES:
            continue  # the package itself, and what stands on nothing
        level = LEVELS[parts[0]]
        for name in imports(path.read_text()):
            top = name.split(".")
            if top[0] != "workbench" or len(top) < 2 or any(name.startswith(leaf) for leaf in LEAVES):
                if level == 0 and name.startswith("torch.nn"):
                    found.append((".".join(parts), name))
                continue
            wrong = LEVELS[top[1]] > level
            if parts[0] == top[1] == "app" and len(top) > 2:
                wrong = APP[top[2]] > APP[parts[1]]
            if wrong:
                found.append((".".join(parts), name))
    return found


def loaded(statement, names):
    """Which of the modules a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps([n for n in {list(names)!r} if n in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(result.stdout.splitlines()[-1])


def test_imports_run_one_way():
    assert violations(ROOT / "workbench") == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("kernels/evbmf.py", "from workbench.compression.plan import Plan"),
        ("kernels/evbmf.py", "from torch.nn import Module"),
        ("kernels/evbmf.py", "import torch.nn.functional as F"),
        ("compression/plan.py", "import workbench.catalog.networks"),
        ("catalog/networks.py", "from workbench.app import state"),
        ("measure/profile.py", "from workbench.app.rooflines import fill_roofline"),
        ("compression/budget.py", "from workbench.measure.profile import profile"),
        ("compression/finetune.py", "from workbench.launch import train"),
        ("runs.py", "from workbench.app.state import State"),
        ("app/figures.py", "from workbench.app.state import State"),
        ("app/state.py", "from workbench.app.panels.tradeoff import tradeoff_panel"),
    ],
)
def test_the_check_finds_what_runs_the_wrong_way(tmp_path, place, source):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert violations(tmp_path)


def test_nothing_below_the_app_loads_a_widget():
    modules = [
        f"workbench.{path.relative_to(ROOT / 'workbench').with_suffix('').as_posix().replace('/', '.')}"
        for folder in ("kernels", "compression", "catalog", "measure", "export")
        for path in sorted((ROOT / "workbench" / folder).glob("*.py"))
        if path.stem != "__init__"
    ]
    modules += ["workbench.runs", "workbench.sweeps", "workbench.launch"]
    assert len(modules) > 12
    assert loaded("\n".join(f"import {m}" for m in modules), BELOW_APP) == []


def test_the_api_loads_no_widget():
    assert (
        loaded(
            "import workbench as wb; wb.analyze; wb.evbmf_plan; wb.load_network; wb.finetune; wb.profile; wb.energy",
            BELOW_APP,
        )
        == []
    )


def test_importing_the_package_loads_no_torch():
    assert loaded("import workbench", ["torch", *BELOW_APP]) == []


def test_state_and_figures_load_no_widgets():
    assert (
        loaded("import workbench.app.state, workbench.app.figures, workbench.app.prints", ["ipywidgets", "anywidget"])
        == []
    )


def test_the_probe_sees_a_widget():
    assert loaded("import workbench.app.dashboard", ["ipywidgets", "torch"]) == ["ipywidgets", "torch"]
