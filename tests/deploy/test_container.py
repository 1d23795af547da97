"""The Containerfile, by its text: there is no builder here, so that it is never built."""

import re

from workbench.app.server import serve

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


def test_it_holds_no_secret_and_fetches_only_packages():
    assert "ADD" not in ONE
    assert [name for name in ENVIRONMENT if re.search(r"PASS|SECRET|KEY|TOKEN(?!_FILE)", name)] == []
    assert not re.search(r"\w+://|curl |wget |git clone|sudo |chmod 777", TEXT)
