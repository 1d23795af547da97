import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.app.server import serve


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
    found = serve.settings([serve.ALONE])
    assert found["Voila"]["ip"] == "127.0.0.1"
    assert found["VoilaConfiguration"]["show_tracebacks"] is False
    assert found["VoilaConfiguration"]["strip_sources"] is True
    template = (serve.ALONE / "voila" / "templates" / "workbench" / "index.html.j2").read_text()
    assert "http:" not in template
    assert "//" not in template.replace("    // ", "")


@pytest.fixture
def became(monkeypatch):
    """What `main` would have become: [(command, environment)]; the limit of memory is only noted."""
    found = []
    monkeypatch.setattr(os, "execve", lambda _path, command, environment: found.append((command, environment)))
    monkeypatch.setattr(serve, "limit_memory", lambda text: found.append(text) or "")
    for name in ("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE", *serve.LIMITS):
        monkeypatch.delenv(name, raising=False)
    return found


def port():
    return ["--port", str(serve.free_port())]


def test_one_person_needs_no_token_and_gets_no_limits(became, capsys):
    serve.main(port())
    limit, (command, environment) = became
    assert limit == ""
    assert "--no-browser" not in command
    assert "JUPYTER_TOKEN" not in environment
    assert "token" not in capsys.readouterr().out


def test_a_class_gets_a_new_token_each_time(became, capsys):
    serve.main([*port(), "--class"])
    limit, (command, environment) = became
    assert limit == serve.LIMITS["WORKBENCH_MEMORY_MIB"]
    assert environment["WORKBENCH_UPLOAD_MIB"] == serve.LIMITS["WORKBENCH_UPLOAD_MIB"]
    assert "--no-browser" in command
    token = environment["JUPYTER_TOKEN"]
    assert len(token) >= 32
    assert f"/?token={token} " in capsys.readouterr().out
    assert token not in " ".join(command)  # which every user of the machine can read
    serve.main([*port(), "--class"])
    assert became[-1][1]["JUPYTER_TOKEN"] != token


def test_a_token_of_ones_own_is_not_printed(became, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_MEMORY_MIB", "5000")
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "token"))
    (tmp_path / "token").write_text("the token of our class\n")
    serve.main([*port(), "--class"])
    limit, (_, environment) = became
    assert environment["JUPYTER_TOKEN"] == "the token of our class"  # noqa: S105
    assert limit == "5000"
    assert "the token" not in capsys.readouterr().out


def test_ones_own_settings_go_over_those_for_a_class(became, tmp_path):
    own = tmp_path / "voila.json"
    own.write_text('{"VoilaConfiguration": {"default_pool_size": 7}}')
    folders = [serve.ALONE, serve.CLASS, tmp_path]
    found = serve.settings(folders)["VoilaConfiguration"]
    assert (found["default_pool_size"], found["preheat_kernel"], found["template"]) == (7, True, "workbench")
    serve.main([*port(), "--class", str(tmp_path)])
    command = became[-1][0]
    assert [a.split("=")[1] for a in command if "config_file_paths" in a] == [str(f) for f in reversed(folders)]


def refused(capsys, *arguments):
    assert serve.main([*port(), *arguments]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "voila.json cannot be read: No such file or directory."),
        ("{", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"Voila": 3}', "is not a JSON object"),
    ],
)
def test_settings_that_cannot_be_read(became, capsys, tmp_path, content, said):
    if content is not None:
        (tmp_path / "voila.json").write_text(content)
    assert said in refused(capsys, "--class", str(tmp_path))
    assert became == []


@pytest.mark.parametrize("token", ["short", "two\nlines of a token"])
def test_a_token_that_is_none(became, capsys, monkeypatch, token):
    monkeypatch.setenv("JUPYTER_TOKEN", token)
    error = refused(capsys, "--class")
    assert error.startswith("The token must have at least 12 characters")
    assert token not in error


def test_a_token_file_that_is_not_there(became, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "none"))
    assert refused(capsys, "--class").startswith(f"The token file {tmp_path / 'none'} cannot be read")


def test_nobody_else_reaches_a_server_without_a_token(became, capsys, tmp_path):
    assert "no token guards it" in refused(capsys, "--address", "0.0.0.0")  # noqa: S104 - refused
    (tmp_path / "voila.json").write_text('{"Voila": {"auto_token": false}}')
    assert "no token guards it" in refused(capsys, "--class", str(tmp_path), "--address", "0.0.0.0")  # noqa: S104
    assert "is no address of a machine" in refused(capsys, "--address", "everywhere")
    assert "is no address of this machine" in refused(capsys, "--class", "--address", "192.0.2.1")
    serve.main([*port(), "--class", "--address", "0.0.0.0"])  # noqa: S104 - only said
    assert "--Voila.ip=0.0.0.0" in became[-1][0]


@pytest.mark.parametrize("text", ["much", "-1", "0", "1.5", "²"])
def test_what_is_no_limit_of_memory(text):
    assert serve.limit_memory(text) == f"WORKBENCH_MEMORY_MIB={text} is not a whole number above 0."


def test_the_limit_holds_for_what_is_started_later():
    code = (
        "from workbench.app.server.serve import limit_memory; import subprocess, sys; assert not limit_memory('2048');"
        "subprocess.run([sys.executable, '-c', 'bytearray(3 * 2**30)'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MemoryError" in done.stderr


def test_a_limit_that_the_system_does_not_allow(monkeypatch):
    def never(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", never)
    assert serve.limit_memory("100").startswith("This system cannot limit the memory of a process (not allowed")


def test_all_settings_are_json_without_a_token():
    for folder in (serve.ALONE, serve.CLASS):
        text = (folder / "voila.json").read_text()
        assert "_token_" not in text
        assert "token" not in json.loads(text).get("Voila", {})
