"""The container file, by its form: no builder is at hand, so that it is never built here."""

import re
from pathlib import Path

import pytest
import torch.hub
from packaging.version import Version

from tests.test_docs import variables
from workbench.app.server import serve

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "class" / "Containerfile"
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "EXPOSE", "USER", "CMD"}
FOREIGN = {"HOME", "PYTHONUNBUFFERED", torch.hub.ENV_TORCH_HOME}
SECRET = re.compile(r"PASS|SECRET|KEY|TOKEN(?!_FILE)|CREDENTIAL", re.I)


def instructions(text):
    """[(instruction, what follows)], lines that are continued in one, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def environment(found):
    pairs = " ".join(rest for name, rest in found if name == "ENV").split()
    return dict(pair.split("=", 1) for pair in pairs)


def problems(text):
    """What is wrong with a container file, in words."""
    found = instructions(text)
    names = [name for name, _ in found]
    said = [f"{name} is no instruction of ours" for name in names if name not in KNOWN]
    if names[:1] != ["FROM"] or names[-1:] != ["CMD"] or names.count("CMD") != 1:
        said.append("it goes from FROM to one CMD")
    for name, rest in found:
        if name == "FROM" and not re.fullmatch(r"python:3\.\d+-slim", rest):
            said.append(f"{rest} is not a slim image with a version")
        if name in ("COPY", "RUN") and re.search(r"\w+://|curl |wget |git clone|sudo |chmod 777", rest):
            said.append(f"{name} fetches something, or is careless: {rest}")
        if name == "CMD" and not rest.startswith('["'):
            said.append("CMD needs a shell, which would swallow the signal to stop")
    users = [rest for name, rest in found if name == "USER"]
    if not users or not users[-1].isdigit() or int(users[-1]) < 1000:
        said.append("it does not run under a number that is a common user's")
    said += [f"{name} may be a secret" for name in environment(found) if SECRET.search(name)]
    if "USER" in names and any(name in ("RUN", "COPY") for name in names[names.index("USER") :]):
        said.append("something is made after the user has changed")
    return said


def test_its_form():
    assert problems(FILE.read_text()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("USER 10001", "USER root", "common user"),
        ("USER 10001", "USER 0", "common user"),
        ("USER 10001\n", "", "common user"),
        ("COPY workbench workbench", "ADD https://example.org/x.tar /x", "ADD is no instruction"),
        ("COPY workbench workbench", "COPY https://example.org/x /x", "fetches something"),
        ("ENV HOME=/tmp", "ENV JUPYTER_TOKEN=abc HOME=/tmp", "JUPYTER_TOKEN may be a secret"),
        ("ENV HOME=/tmp", "ENV HOME=/tmp PASSWORD=x", "PASSWORD may be a secret"),
        ("python:3.11-slim", "python:latest", "slim image"),
        ('CMD ["python",', "CMD python", "needs a shell"),
        ("USER 10001\n", "USER 10001\nRUN true\n", "after the user"),
        ("EXPOSE 8866", "EXPOSES 8866", "EXPOSES is no instruction"),
    ],
)
def test_what_is_found(old, new, said):
    text = FILE.read_text()
    assert old in text
    assert any(said in problem for problem in problems(text.replace(old, new)))


def test_what_it_sets_is_read():
    own = set(environment(instructions(FILE.read_text())))
    assert own - FOREIGN <= variables("workbench")
    assert {"WORKBENCH_RUNS", "WORKBENCH_CACHE", "WORKBENCH_DATASETS", "JUPYTER_TOKEN_FILE"} <= own
    assert "JUPYTER_TOKEN" not in own


def test_what_is_written_is_in_the_volume():
    found = instructions(FILE.read_text())
    (volume,) = (rest for name, rest in found if name == "VOLUME")
    for name, value in environment(found).items():
        if name.startswith("WORKBENCH_") or name == torch.hub.ENV_TORCH_HOME:
            assert value.startswith(f"{volume}/")


def test_what_it_copies_is_there_and_enough():
    copied = []
    for name, rest in instructions(FILE.read_text()):
        if name == "COPY":
            *sources, _ = rest.split()
            copied += [ROOT / source for source in sources]
    for path in copied:
        assert path.exists(), path
    for needed in (
        serve.NOTEBOOK,
        serve.CLASS / "voila.json",
        serve.ONE_USER,
        ROOT / "data" / "digits_vgg.safetensors",
    ):
        assert any(path == needed or path in needed.parents for path in copied), needed


def test_its_command_and_its_python():
    found = dict(instructions(FILE.read_text()))
    assert f'"{serve.__name__}", "--class"' in found["CMD"]
    assert found["EXPOSE"] == "8866"
    wanted = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert Version(re.search(r"python:([\d.]+)", found["FROM"])[1]) >= Version(wanted)
    extras = re.search(r"\.\[([\w,]+)\]", found["RUN"])[1].split(",")
    for extra in extras:
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
