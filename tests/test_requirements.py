"""pyproject.toml, environment.yml and constraints.txt ask for the same packages, and users get no test tool."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch", "playwright-python": "playwright", "huggingface_hub": "huggingface-hub"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(texts):
    """Requirements, those of our own extras included."""
    for requirement in map(Requirement, texts):
        if requirement.name == "workbench":
            yield from requirements(text for extra in sorted(requirement.extras) for text in EXTRAS[extra])
        else:
            yield requirement


REQUIREMENTS = {r.name: r for r in requirements(PROJECT["dependencies"] + EXTRAS["dev"] + EXTRAS["docs"])}
ZOO = {r.name: r for r in requirements(EXTRAS["zoo"])}
PINS = dict(
    line.lower().replace("_", "-").split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
)


def test_the_environment_is_the_same():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {}
    for entry in entries:
        if isinstance(entry, str):
            name, versions = re.fullmatch(r"([\w-]+)(.*)", entry).groups()
            conda[CONDA_NAMES.get(name, name)] = versions
        else:
            for requirement in map(Requirement, entry["pip"]):
                assert requirement == REQUIREMENTS[requirement.name]  # for the same machines
                conda[requirement.name] = str(requirement.specifier)
    assert conda.pop("python") == PROJECT["requires-python"]
    conda.pop("pip")
    assert conda == {name: str(r.specifier) for name, r in REQUIREMENTS.items()}


def test_a_user_installs_no_test_tool():
    extras = [text for extra in ("onnx", "mobile", "lab") for text in EXTRAS[extra]]
    user = {r.name for r in requirements(PROJECT["dependencies"] + extras)}
    assert not user & {"pytest", "mypy", "ruff", "hypothesis", "playwright", "pre-commit", "mkdocs-material"}


def test_the_tested_versions_are_exact_and_in_range_and_run_here():
    for name, requirement in (REQUIREMENTS | ZOO).items():
        assert requirement.specifier.contains(PINS[name.lower().replace("_", "-")]), name
    for name in ("torch", "numpy", "scipy", "plotly", "ipywidgets", "voila", "onnxruntime"):
        assert version(name).split("+")[0] == PINS[name]
