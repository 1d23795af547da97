import json
import socket
from pathlib import Path

import pytest

from workbench.app import serve


@pytest.mark.parametrize("text", ["0", "70000", "http", "-1", "88 66", "²"])
def test_what_is_no_port(text):
    assert serve.port_problem(text).startswith(f"PORT={text} is not a port")


def test_a_port_that_is_taken(capsys):
    with socket.socket() as other:
        other.bind((serve.ADDRESS, 0))
        other.listen()
        port = other.getsockname()[1]
        assert serve.main(["--port", str(port), "--no-browser"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Port {port} is taken: stop what listens there, or try make dashboard PORT=")
    assert error.count("\n") == 1


def test_a_free_port_is_no_problem():
    assert serve.port_problem(str(serve.free_port())) == ""


def test_the_command(monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", "/mine")
    command, environment = serve.voila_command(1234, browser=False)
    assert "--port=1234" in command
    assert "--no-browser" in command
    assert environment["JUPYTER_PATH"].split(":")[1] == "/mine"
    assert Path(environment["JUPYTER_PATH"].split(":")[0], "voila.json").is_file()
    assert serve.NOTEBOOK.is_file()


def test_the_configuration_is_for_one_machine_offline():
    folder = Path(serve.__file__).parent / "jupyter"
    settings = json.loads((folder / "voila.json").read_text())
    assert settings["Voila"]["ip"] == "127.0.0.1"
    assert settings["VoilaConfiguration"]["show_tracebacks"] is False
    assert settings["VoilaConfiguration"]["strip_sources"] is True
    template = (folder / "voila" / "templates" / "workbench" / "index.html.j2").read_text()
    assert "http" not in template
