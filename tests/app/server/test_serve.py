import os
import subprocess
import sys

import pytest

from tests.helpers.bad_page import expect_readable
from workbench.app.server import serve
from workbench.app.widgets.upload import DEFAULT_LIMIT_MIB, upload_limit

PUBLIC = ["--address", "0.0.0.0"]  # noqa: S104 - nothing is served


@pytest.mark.parametrize("text", ["0", "-1", "http", "1.5", "²", " "])
def test_numbers_that_are_none(monkeypatch, caplog, text):
    for number in (text, "70000"):
        with pytest.raises(ValueError, match=f"^{number} is not a port"):
            serve.check_port(number)
    with pytest.raises(ValueError, match=f"^WORKBENCH_MEMORY_MIB={text} is not a whole number above 0.$"):
        serve.limit_memory(text)
    monkeypatch.setenv("WORKBENCH_UPLOAD_MIB", text)
    assert upload_limit() == DEFAULT_LIMIT_MIB
    (said,) = caplog.messages
    expect_readable(said)
    monkeypatch.setenv("WORKBENCH_UPLOAD_MIB", "3")
    assert upload_limit() == 3


@pytest.fixture
def started(monkeypatch):
    """Arguments of each execve, [(command, environment)], and of each memory limit before it."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda _path, command, environment: calls.append((command, environment)))
    monkeypatch.setattr(serve, "limit_memory", calls.append)
    for name in ("JUPYTER_TOKEN", "JUPYTER_TOKEN_FILE", *serve.CLASS_LIMITS):
        monkeypatch.delenv(name, raising=False)
    return calls


def port():
    return ["--port", str(serve.free_port())]


@pytest.mark.parametrize(("arguments", "limits"), [([], {}), (["--class"], serve.CLASS_LIMITS)])
def test_a_new_token_at_each_start(started, capsys, arguments, limits):
    serve.main([*port(), *arguments])
    limit, (command, environment) = started
    assert limit == limits.get("WORKBENCH_MEMORY_MIB", "")
    assert environment.get("WORKBENCH_UPLOAD_MIB") == limits.get("WORKBENCH_UPLOAD_MIB")
    assert ("--no-browser" in command) == bool(arguments)
    token = environment["JUPYTER_TOKEN"]
    assert len(token) >= 32
    assert f"/?token={token} " in capsys.readouterr().out
    assert token not in " ".join(command)  # which every user of the machine can read
    serve.main([*port(), *arguments])
    assert started[-1][1]["JUPYTER_TOKEN"] != token


def test_an_own_token_is_not_printed(started, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_MEMORY_MIB", "5000")
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "token"))
    (tmp_path / "token").write_text("the token of our class\n")
    serve.main([*port(), "--class"])
    limit, (_, environment) = started
    assert environment["JUPYTER_TOKEN"] == "the token of our class"  # noqa: S105
    assert limit == "5000"
    assert "the token" not in capsys.readouterr().out


def test_own_settings_replace_those_for_a_class(started, tmp_path):
    (tmp_path / "voila.json").write_text('{"VoilaConfiguration": {"default_pool_size": 7}}')
    folders = [serve.ONE_USER, serve.CLASS, tmp_path]
    found = serve.read_settings(folders)["VoilaConfiguration"]
    assert (found["default_pool_size"], found["preheat_kernel"], found["template"]) == (7, True, "workbench")
    serve.main([*port(), *PUBLIC, "--class", str(tmp_path)])
    command = started[-1][0]
    assert "--Voila.ip=0.0.0.0" in command  # with a token, other machines may reach it
    assert [a.split("=")[1] for a in command if "config_file_paths" in a] == [str(f) for f in reversed(folders)]


@pytest.mark.parametrize(
    ("arguments", "settings", "variables", "problem"),
    [
        (["--class", "{tmp}"], None, {}, "voila.json cannot be read: No such file or directory."),
        (["--class", "{tmp}"], "{", {}, "is not a JSON object"),
        (["--class", "{tmp}"], '{"Voila": 3}', {}, "is not a JSON object"),
        ([], None, {"JUPYTER_TOKEN": "short"}, "The token must have at least 12 characters"),
        ([], None, {"JUPYTER_TOKEN": "two\nlines of a token"}, "The token must have at least 12 characters"),
        ([], None, {"JUPYTER_TOKEN_FILE": "/none"}, "The token file /none cannot be read"),
        (PUBLIC, None, {}, "others could reach"),
        ([*PUBLIC, "--class", "{tmp}"], '{"Voila": {"auto_token": false}}', {}, "others could reach"),
        (["--address", "everywhere"], None, {}, "is no address of a machine"),
        (["--class", "--address", "192.0.2.1"], None, {}, "of 192.0.2.1 cannot be used"),
    ],
)
def test_what_is_refused(started, capsys, monkeypatch, tmp_path, arguments, settings, variables, problem):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if settings is not None:
        (tmp_path / "voila.json").write_text(settings)
    assert serve.main([*port(), *(a.format(tmp=tmp_path) for a in arguments)]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n"), started) == ("", 1, [])
    assert problem in error
    assert variables.get("JUPYTER_TOKEN", "no token") not in error


def test_the_limit_holds_for_processes_started_later():
    code = (
        "from workbench.app.server.serve import limit_memory; import subprocess, sys; limit_memory('2048');"
        "subprocess.run([sys.executable, '-c', 'bytearray(3 * 2**30)'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MemoryError" in done.stderr
