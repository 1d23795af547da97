"""The Containerfile, by its text: there is no builder here, so that it is never built."""

import re

from workbench.app.server import serve
from workbench.catalog.networks.load import BUNDLED

TEXT = (serve.CLASS / "Containerfile").read_text()
LINES = re.sub(r"^\s*#.*\n", "", TEXT, flags=re.M).replace("\\\n", " ").splitlines()
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in LINES if line.strip()]
ENVIRONMENT = dict(pair.split("=", 1) for name, rest in INSTRUCTIONS if name == "ENV" for pair in rest.split())
ONE = dict(INSTRUCTIONS)  # of those that are there once


def test_it_ends_as_a_user_without_rights_and_without_a_shell():
    names = [name for name, _ in INSTRUCTIONS]
    assert (names[0], names[names.index("USER") :]) == ("FROM", ["USER", "CMD"])
    assert int(ONE["USER"]) >= 1000
    assert ONE["CMD"].startswith(f'["python", "-m", "{serve.__name__}", "--class"')  # a shell would keep the SIGTERM


def test_its_python_and_its_extras_are_the_projects():
    project = (serve.ROOT / "pyproject.toml").read_text()
    wanted = re.search(r'requires-python = ">=3\.(\d+)"', project)[1]
    assert int(re.fullmatch(r"python:3\.(\d+)-slim", ONE["FROM"])[1]) >= int(wanted)
    for extra in re.search(r"\.\[([\w,]+)\]", ONE["RUN"])[1].split(","):
        assert f"\n{extra} = [" in project


def test_it_holds_no_secret_and_fetches_only_packages():
    assert "ADD" not in ONE
    assert [name for name in ENVIRONMENT if re.search(r"PASS|SECRET|KEY|TOKEN(?!_FILE)", name)] == []
    assert not re.search(r"\w+://|curl |wget |git clone|sudo |chmod 777", TEXT)


def test_folders_it_names_are_in_the_volume_and_read_by_the_package():
    sources = "".join(path.read_text() for path in (serve.ROOT / "workbench").rglob("*.py"))
    for name, value in ENVIRONMENT.items():
        if name.startswith("WORKBENCH_") or name == "TORCH_HOME":
            assert value.startswith(f"{ONE['VOLUME']}/")
            assert name == "TORCH_HOME" or f'"{name}"' in sources, name


def test_what_it_copies_exists_and_suffices():
    copied = [serve.ROOT / path for name, rest in INSTRUCTIONS if name == "COPY" for path in rest.split()[:-1]]
    assert [path for path in copied if not path.exists()] == []
    for needed in (serve.NOTEBOOK, serve.CLASS / "voila.json", serve.ONE_USER, BUNDLED):
        assert any(path == needed or path in needed.parents for path in copied), needed
