"""The dashboard of one user: it refuses other web sites, and requests without the token; it serves lessons."""

import asyncio
import html
import logging
import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from nbformat.v4 import new_code_cell
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from benchmarks._browser import TOKEN
from tests.helpers.serving import close, kernel_of, serving
from workbench.app.server.lessons import LESSONS, PAGES
from workbench.app.server.logs import ServerLogHandler, log_to_server
from workbench.app.server.voila import DashboardServer, ForeignRequest

# The reply to its execution comes 5 s before its output; nbclient drops output that is 4 s late without an error.
LATE_CELL = """import sys, time
sys.stdout.flush_timeout = sys.stderr.flush_timeout = 0
get_ipython().kernel.iopub_thread.schedule(lambda: time.sleep(5))
'late' + ' output'"""
UNKNOWN_KERNEL = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    cells = [new_code_cell("'shown' + ' text'"), new_code_cell(LATE_CELL)]
    variables = {"WORKBENCH_HOSTS": "proxy.example"}
    with serving(tmp_path_factory.mktemp("one_user"), cells, settings=(), variables=variables) as found:
        yield found


@pytest.mark.parametrize(
    ("address", "names", "host", "is_ours"),
    [
        ("127.0.0.1", (), "127.0.0.1:8866", True),
        ("127.0.0.1", (), "LocalHost:8866", True),
        ("::1", (), "[::1]:8866", True),
        ("127.0.0.1", (), "10.0.0.7:8866", False),
        ("127.0.0.1", (), "attacker.example:8866", False),
        ("127.0.0.1", ("Proxy.Example",), "proxy.example", True),
        ("10.0.0.7", (), "10.0.0.7:8866", True),
        ("0.0.0.0", (), "10.0.0.7:8866", True),  # noqa: S104 - an IP address cannot be rebound
        ("::", (), "[fe80::1]:8866", True),
        ("0.0.0.0", (), "attacker.example", False),  # noqa: S104
    ],
)
def test_hosts_of_the_server(address, names, host, is_ours):
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    request = HTTPServerRequest(start_line=line, headers=HTTPHeaders({"Host": host}))
    assert (ForeignRequest(address, names).match(request) is None) == is_ours


@pytest.mark.parametrize("path", ["/", f"/?token={TOKEN}", "/login", "/voila/static/voila.js", "/nothing"])
def test_a_foreign_host_is_refused(server, path):
    answer = server.ask(path, Host="attacker.example:8866")
    assert answer.status == 403
    assert "WORKBENCH_HOSTS" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_the_page_needs_the_token_once(server):
    for path in ("/", "/?token=", "/?token=wrong", "/lesson.ipynb", f"/voila/lessons/{LESSONS[3][0]}.html"):
        answer = server.ask(path)
        assert (answer.status, answer.location[:6]) == (302, "/login")
    assert server.ask(f"/api/kernels/{UNKNOWN_KERNEL}", method="DELETE").status == 403
    assert server.ask(f"/voila/api/shutdown/{UNKNOWN_KERNEL}", method="POST").status == 403
    cookie, page = server.entered
    assert re.search("shown text.*late output", page.text, re.S)
    assert TOKEN not in page.text
    assert {"HttpOnly", "SameSite=Lax"} <= set(page.headers["Set-Cookie"].split("; "))
    assert server.ask(f"/api/kernels/{kernel_of(page)}").status == 403
    assert server.ask(f"/api/kernels/{kernel_of(page)}", cookies=cookie).status == 200


def test_a_made_page_needs_the_token(server):
    PAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=PAGES, prefix="page_", suffix=".html") as file:
        file.write("a made page")
        file.flush()
        path = f"/voila/lessons/{Path(file.name).name}"
        assert server.ask(path).location.startswith("/login")
        assert server.ask(path, cookies=server.entered[0]).text == "a made page"


def test_a_websocket_needs_cookie_host_and_origin(server):
    cookie, page = server.entered
    kernel, own, foreign = kernel_of(page), server.address, "http://attacker.example:8866"
    by_token = server.ask(f"/api/kernels/{kernel}?token={TOKEN}", Host="proxy.example")
    named = by_token.headers["Set-Cookie"].split(";")[0]

    async def statuses():
        found = [await server.connect(kernel, Origin=own), await server.connect(kernel, Cookie=cookie)]
        for more in ({"Origin": foreign}, {"Origin": "null"}, {"Origin": foreign, "Host": "attacker.example:8866"}):
            found.append(await server.connect(kernel, Cookie=cookie, **more))
        await close(await server.connect(kernel, Cookie=cookie, Origin=own))
        await close(await server.connect(kernel, Cookie=named, Origin="https://proxy.example", Host="proxy.example"))
        return found

    assert asyncio.run(statuses()) == [403] * 5


@pytest.mark.slow
def test_it_runs_lessons_and_no_other_notebook(server):
    names = (f"voila/lessons/{LESSONS[3][0]}.html", "voila/lessons/dashboard.html", "dashboard.ipynb")
    found = [server.ask(f"/{name}", cookies=server.entered[0]) for name in names]
    assert [answer.status for answer in found] == [200, 404, 404]
    assert "EVBMF" in found[0].text
    assert "error when executing" not in found[0].text


def test_the_browser_gets_the_token_in_a_file_of_its_own(monkeypatch):
    opened = Mock()
    monkeypatch.setattr("threading.Thread", opened)
    server = DashboardServer(ip="::1", port=8866)
    server.identity_provider = SimpleNamespace(token="a&b")  # noqa: S106
    server.launch_browser()
    (url,) = opened.call_args.kwargs["args"]
    assert "a%26b" not in url
    path = Path(url.removeprefix("file://"))
    assert path.stat().st_mode & 0o077 == 0
    assert html.unescape(re.search(r'url=([^"]+)"', path.read_text())[1]) == "http://[::1]:8866/?token=a%26b"
    path.unlink()


def test_faults_and_warnings_reach_the_servers_log_once_and_not_the_page(monkeypatch, tmp_path):
    log, page = logging.getLogger("workbench"), []  # a kernel's stderr writes to the page, its descriptor to the log
    for _ in range(2):
        log_to_server()
    (handler,) = (handler for handler in log.handlers if isinstance(handler, ServerLogHandler))
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=page.append, fileno=file.fileno))
        monkeypatch.setattr(log, "propagate", False)  # pytest-xdist cannot send a report with half a character
        log.info("quiet")
        log.warning("a \ud800 half")
        logging.getLogger("workbench.app").error("Testing failed", exc_info=ZeroDivisionError("the fault"))
    log.removeHandler(handler)
    text = (tmp_path / "log").read_text()
    assert re.fullmatch(r"\[Workbench\] 2.* WARNING \| a \? half\n.* ERROR \| Testing failed\n.*: the fault\n", text)
    assert page == []
