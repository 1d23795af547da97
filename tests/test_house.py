"""The house by its syntax trees: imports run one way, modules and folders stay small, models write their own traits."""

import ast
import json
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAVES = ("files", "progress", "tables")
"""Modules that stand on nothing of the package."""
LEVELS = {
    "kernels": 1,
    "network": 2,
    "plan": 3,
    "recover": 4,
    "inspect": 5,
    "runs": 5,
    "catalog": 6,
    "exporters": 6,
    "measure": 7,
    "plot": 8,
    "launch": 9,
    "app": 10,
}
"""Each room may import those of a lower level, and itself; rooms of one level do not know each other."""
WIDGETS = ("ipywidgets", "traitlets", "IPython", "anywidget")
MAX_MODULE_LINES = 350
MAX_MODULES = 12


def modules(folder):
    """Name -> path of every module below a `workbench` folder."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = ("workbench", *path.relative_to(folder).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source, known):
    """Modules that a source imports, type-only imports and modules named to `runpy` or `import_module` included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {name for alias in node.names if (name := f"{node.module}.{alias.name}") in known}
        elif isinstance(node, ast.Call) and re.search(r"run_module|import_module", ast.unparse(node.func)):
            found |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {name for name in found if not (name in known and any(o.startswith(f"{name}.") for o in found & known))}


def room(name):
    """The room that a module is in."""
    return name.split(".")[1] if "." in name else ""


def problems(folder):
    """Sentences on what breaks the rules below a `workbench` folder."""
    paths = modules(folder)
    known = set(paths)
    graph = {name: imports(path.read_text(encoding="utf-8"), known) for name, path in paths.items()}
    found = []
    for name, path in paths.items():
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_MODULE_LINES:
            found.append(f"{name} has {lines} lines")
        for other in graph[name]:
            if other.split(".")[0] != "workbench":
                found += [f"{name} imports {other}"] if is_foreign(name, other) else []
            elif room(other) not in LEAVES and room(name):
                mine, theirs = (0 if room(n) in LEAVES else LEVELS[room(n)] for n in (name, other))
                if theirs > mine or (theirs == mine and room(name) != room(other)):
                    found.append(f"{name} imports {other}")
    for path in {p.parent for p in paths.values()}:
        count = sum(1 for p in path.glob("*.py") if p.name != "__init__.py")
        if count > MAX_MODULES and path.name != "widgets":
            found.append(f"{path.name} has {count} modules")
    try:
        TopologicalSorter({name: graph[name] & graph.keys() for name in graph}).prepare()
    except CycleError as error:
        found.append(f"a circle: {' -> '.join(error.args[1])}")
    return found


def is_foreign(name, other):
    """Whether a room must not import this from outside."""
    top = other.split(".")[0]
    return (
        (room(name) == "kernels" and f"{other}.".startswith("torch.nn."))
        or (room(name) != "app" and top in WIDGETS)
        or (top == "plotly" and room(name) != "app" and not name.startswith("workbench.plot.interactive"))
    )


def traits_written(folder):
    """(file, target) of each trait of a model that another object writes; a worker writes those of its jobs."""
    app = folder / "app"
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(app.rglob("*.py"))}
    traits, models = set(), set()  # a model is any class that inherits HasTraits; objects are named like their class
    for node in (node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        if any(re.search(r"\bHasTraits$", ast.unparse(base)) for base in node.bases):
            models |= {snake := re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower(), snake.removesuffix("_model")}
            statements = [s for s in node.body if isinstance(s, ast.Assign | ast.AnnAssign)]
            targets = [t for s in statements for t in getattr(s, "targets", [getattr(s, "target", None)])]
            traits |= {target.id for target in targets if isinstance(target, ast.Name)}
    owned = re.compile(rf"(^|[._])({'|'.join(sorted(models))})$")
    found = []
    for path, tree in trees.items():
        own = {"self", "job"} if path.name == "worker.py" else {"self"}
        for node in ast.walk(tree):
            hits = [
                target
                for target in [*getattr(node, "targets", ()), getattr(node, "target", None)]
                if isinstance(target, ast.Attribute)
                and target.attr in traits
                and owned.search(ast.unparse(target.value))
            ]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "set_trait":
                hits.append(node.func)
            foreign = [ast.unparse(hit) for hit in hits if ast.unparse(hit.value) not in own]
            found += [(path.relative_to(folder).as_posix(), target) for target in foreign]
    return found


def loaded(statement, names):
    """Which of the modules a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps([n for n in {list(names)!r} if n in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(result.stdout.splitlines()[-1])


def test_the_house_is_as_designed():
    assert problems(ROOT / "workbench") == []


def test_no_trait_is_written_by_another_model():
    assert traits_written(ROOT / "workbench") == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("kernels/evbmf.py", "from workbench.plan.plan import Plan"),
        ("kernels/evbmf.py", "from torch.nn import Module"),
        ("kernels/evbmf.py", "import torch.nn.functional as F"),
        ("tables.py", "from workbench.kernels.evbmf import evbmf"),
        ("network/layers.py", "if TYPE_CHECKING:\n    from workbench.plan.plan import Plan"),
        ("plan/budget.py", "from workbench.measure.profile import profile"),
        ("recover/finetune.py", "import runpy\nrunpy.run_module('workbench.launch')"),
        ("runs/store.py", "from workbench.inspect.gallery import gallery"),
        ("catalog/networks/load.py", "from workbench.app import session"),
        ("measure/energy.py", "import traitlets"),
        ("plot/static/base.py", "import plotly.graph_objects"),
        ("app/session.py", "x = 1\n" * 351),
    ],
)
def test_the_check_finds_what_breaks_the_rules(tmp_path, place, source):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    assert problems(tmp_path)


def test_the_check_finds_circles_and_large_folders(tmp_path):
    (tmp_path / "plan").mkdir()
    for one, two in pairwise("abca"):
        (tmp_path / "plan" / f"{one}.py").write_text(f"from workbench.plan.{two} import x")
    assert [p for p in problems(tmp_path) if p.startswith("a circle")]
    for number in range(MAX_MODULES):
        (tmp_path / "plan" / f"m{number}.py").write_text("")
    assert "plan has 15 modules" in problems(tmp_path)


def test_the_check_finds_foreign_writes(tmp_path):
    step = tmp_path / "app" / "steps" / "plan"
    step.mkdir(parents=True)
    (step / "undo.py").write_text("class RankCurveModel(traitlets.HasTraits):\n    notice: Unicode = Unicode()")
    (step / "view.py").write_text("def f(s):\n    s.rank_curve.notice = 'x'\n    s.set_trait('notice', 'y')")
    assert [target for _, target in traits_written(tmp_path)] == ["s.rank_curve.notice", "s.set_trait"]


def test_nothing_below_the_app_loads_a_widget_and_no_printed_plot_loads_plotly():
    below = [name for name in modules(ROOT / "workbench") if room(name) not in ("", "app")]
    assert len(below) > 60
    assert loaded("\n".join(f"import {name}" for name in below), [*WIDGETS, "plotly"]) == []
    assert loaded("import workbench", ["torch", *WIDGETS, "plotly", "matplotlib"]) == []
