"""pyproject.toml, environment.yml and constraints.txt ask for the same."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch", "playwright-python": "playwright"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [Requirement(r) for r in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))


def test_the_environment_is_the_same():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = {}
    for entry in entries:
        if isinstance(entry, str):
            name, rest = re.fullmatch(r"([\w-]+)(.*)", entry).groups()
            conda[CONDA_NAMES.get(name, name)] = rest
    for requirement in (Requirement(text) for entry in entries if isinstance(entry, dict) for text in entry["pip"]):
        assert requirement in REQUIREMENTS  # with the same machines
        conda[requirement.name] = str(requirement.specifier)
    assert conda.pop("python") == PROJECT["requires-python"]
    conda.pop("pip")
    assert conda == {r.name: str(r.specifier) for r in REQUIREMENTS}


@pytest.mark.parametrize("extra", ["scale", "onnx", "mobile"])
def test_what_an_extra_needs_is_tested(extra):
    extras = PROJECT["optional-dependencies"]
    assert set(extras[extra]) <= set(extras["dev"])


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_the_tested_version_is_exact_and_in_range(requirement):
    pinned = pins()[requirement.name.lower().replace("_", "-")]
    assert requirement.specifier.contains(pinned)


@pytest.mark.parametrize("name", ["torch", "numpy", "scipy", "plotly", "ipywidgets", "voila", "onnxruntime"])
def test_what_runs_here_is_what_is_pinned(name):
    assert version(name).split("+")[0] == pins()[name]
