import os
import re
import resource
import socket
import subprocess
import sys

import pytest

from workbench.app.server import serve


@pytest.mark.parametrize("text", ["0", "70000", "http", "-1", "88 66", "²"])
def test_not_a_port(text):
    with pytest.raises(ValueError, match=f"^PORT={text} is not a port"):
        serve.check_port(text)


def test_ports_free_and_taken():
    serve.check_port(str(serve.free_port()))
    with socket.socket() as other:
        other.bind((serve.ADDRESS, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"^Port {port} is taken: .* make dashboard PORT="):
            serve.check_port(str(port))


def test_the_command_and_its_environment():
    command, environment = serve.voila_command(1234, browser=False, environment={"JUPYTER_PATH": "/mine"})
    assert {"--port=1234", "--no-browser", str(serve.NOTEBOOK)} <= set(command)
    assert serve.NOTEBOOK.is_file()
    assert environment["JUPYTER_PATH"].split(os.pathsep) == [str(serve.ONE_USER), "/mine"]
    assert environment["OMP_NUM_THREADS"] == "1"


def test_the_page_of_an_address():
    assert serve.page_url("::1", 80, "") == "http://[::1]:80/"
    assert serve.page_url("127.0.0.1", 8866, "a b&c") == "http://127.0.0.1:8866/?token=a%20b%26c"


def test_the_template_loads_nothing_from_other_machines():
    template = (serve.ONE_USER / "voila" / "templates" / "workbench" / "index.html.j2").read_text()
    assert "http:" not in template
    assert "//" not in re.sub(r"// .*", "", template)


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
    serve.main([*port(), "--class", str(tmp_path)])
    command = started[-1][0]
    assert [a.split("=")[1] for a in command if "config_file_paths" in a] == [str(f) for f in reversed(folders)]


def refused(capsys, *arguments):
    assert serve.main([*port(), *arguments]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "voila.json cannot be read: No such file or directory."),
        ("{", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        ('{"Voila": 3}', "is not a JSON object"),
    ],
)
def test_settings_that_cannot_be_read(started, capsys, tmp_path, content, problem):
    if content is not None:
        (tmp_path / "voila.json").write_text(content)
    assert problem in refused(capsys, "--class", str(tmp_path))
    assert started == []


@pytest.mark.parametrize("token", ["short", "two\nlines of a token"])
def test_tokens_that_are_refused(started, capsys, monkeypatch, token):
    monkeypatch.setenv("JUPYTER_TOKEN", token)
    error = refused(capsys)
    assert error.startswith("The token must have at least 12 characters")
    assert token not in error


def test_a_missing_token_file(started, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTER_TOKEN_FILE", str(tmp_path / "none"))
    assert refused(capsys).startswith(f"The token file {tmp_path / 'none'} cannot be read")


def test_only_a_class_with_a_token_is_reached_from_other_machines(started, capsys, tmp_path):
    everywhere = ["--address", "0.0.0.0"]  # noqa: S104 - nothing is served
    (tmp_path / "voila.json").write_text('{"Voila": {"auto_token": false}}')
    assert "others could reach" in refused(capsys, *everywhere)
    assert "others could reach" in refused(capsys, *everywhere, "--class", str(tmp_path))
    assert "is no address of a machine" in refused(capsys, "--address", "everywhere")
    assert "is no address of this machine" in refused(capsys, "--class", "--address", "192.0.2.1")
    serve.main([*port(), *everywhere, "--class"])
    assert "--Voila.ip=0.0.0.0" in started[-1][0]


@pytest.mark.parametrize("text", ["much", "-1", "0", "1.5", "²"])
def test_not_a_limit_of_memory(text):
    with pytest.raises(ValueError, match=f"^WORKBENCH_MEMORY_MIB={text} is not a whole number above 0.$"):
        serve.limit_memory(text)


def test_the_limit_holds_for_processes_started_later():
    code = (
        "from workbench.app.server.serve import limit_memory; import subprocess, sys; limit_memory('2048');"
        "subprocess.run([sys.executable, '-c', 'bytearray(3 * 2**30)'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MemoryError" in done.stderr


def test_a_limit_that_the_system_does_not_allow(monkeypatch):
    def setrlimit(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    with pytest.raises(ValueError, match=r"^This system cannot limit the memory of a process \(not allowed"):
        serve.limit_memory("100")
