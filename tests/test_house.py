"""The house by its syntax trees: imports run one way, modules and folders stay small, models write their own traits."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEVELS = {
    "files": 0,
    "progress": 0,
    "tables": 0,
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


def allowed(name, other):
    """Whether a module may import another, or a module of another package."""
    mine, theirs, package = room(name), room(other), other.split(".")[0]
    if package == "workbench":
        return mine in ("", theirs) or LEVELS[theirs] < LEVELS[mine]
    if f"{other}.".startswith("torch.nn."):
        return mine != "kernels"
    if package == "plotly":
        return mine == "app" or name.startswith("workbench.plot.interactive")
    return mine == "app" or package not in WIDGETS


def problems(folder):
    """Sentences on what breaks the rules below a `workbench` folder."""
    paths = modules(folder)
    sources = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    graph = {name: imports(source, sources.keys()) for name, source in sources.items()}
    lines = {name: source.count("\n") for name, source in sources.items()}
    sizes = Counter(p.parent for p in paths.values() if p.name != "__init__.py" and p.parent.name != "widgets")
    found = [f"{name} has {count} lines" for name, count in lines.items() if count > MAX_MODULE_LINES]
    found += [f"{parent.name} has {count} modules" for parent, count in sizes.items() if count > MAX_MODULES]
    found += [f"{name} imports {o}" for name, others in graph.items() for o in others if not allowed(name, o)]
    try:
        TopologicalSorter({name: graph[name] & graph.keys() for name in graph}).prepare()
    except CycleError as error:
        found.append(f"a circle: {' -> '.join(error.args[1])}")
    return found


def targets(node):
    """What a statement assigns to."""
    return [*getattr(node, "targets", ()), getattr(node, "target", None)]


def traits_written(folder):
    """(file, target) of each trait of a model that another object writes; a worker writes those of its jobs."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted((folder / "app").rglob("*.py"))}
    traits, models = set(), set()  # a model is any class that inherits HasTraits; objects are named like their class
    for node in (node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        if any(re.search(r"\bHasTraits$", ast.unparse(base)) for base in node.bases):
            models |= {snake := re.sub(r"(?<!^)(?=[A-Z])", "_", node.name).lower(), snake.removesuffix("_model")}
            traits |= {target.id for s in node.body for target in targets(s) if isinstance(target, ast.Name)}
    owned = re.compile(rf"(^|[._])({'|'.join(sorted(models))})$")
    found = []
    for path, tree in trees.items():
        own = {"self", "job"} if path.name == "worker.py" else {"self"}
        for node in ast.walk(tree):
            written = [t for t in targets(node) if isinstance(t, ast.Attribute) and t.attr in traits]
            written = [target for target in written if owned.search(ast.unparse(target.value))]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "set_trait":
                written.append(node.func)
            foreign = [ast.unparse(target) for target in written if ast.unparse(target.value) not in own]
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
