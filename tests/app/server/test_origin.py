"""The dashboard of one user refuses other web sites, and requests without the token."""

import asyncio
import re

import pytest
from nbformat.v4 import new_code_cell
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from benchmarks._browser import TOKEN
from tests.helpers.serving import close, kernel_of, serving
from workbench.app.server.voila import ForeignRequest

# The reply to its execution comes 6 s before its output; nbclient drops output that is 4 s late without an error.
LATE_CELL = """import sys, time
sys.stdout.flush_timeout = sys.stderr.flush_timeout = 0
get_ipython().kernel.iopub_thread.schedule(lambda: time.sleep(6))
'late' + ' output'"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    cells = [new_code_cell("'shown' + ' text'"), new_code_cell(LATE_CELL)]
    variables = {"WORKBENCH_HOSTS": "proxy.example"}
    with serving(tmp_path_factory.mktemp("one_user"), cells, settings=(), variables=variables) as found:
        yield found


@pytest.fixture(scope="module")
def entered(server):
    """The cookie, and the page."""
    return server.enter()


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


def test_the_page_needs_the_token_once(server, entered):
    for path in ("/", "/?token=", "/?token=wrong"):
        assert (server.ask(path).status, server.ask(path).location[:6]) == (302, "/login")
    cookie, page = entered
    assert re.search("shown text.*late output", page.text, re.S)
    assert TOKEN not in page.text
    assert {"HttpOnly", "SameSite=Lax"} <= set(page.headers["Set-Cookie"].split("; "))
    assert server.ask(f"/api/kernels/{kernel_of(page)}").status == 403
    assert server.ask(f"/api/kernels/{kernel_of(page)}", cookies=cookie).status == 200


def test_a_websocket_needs_cookie_host_and_origin(server, entered):
    cookie, page = entered
    kernel, own, foreign = kernel_of(page), server.address, "http://attacker.example:8866"
    named = server.ask(f"/?token={TOKEN}", Host="proxy.example").headers["Set-Cookie"].split(";")[0]

    async def statuses():
        found = [await server.connect(kernel, Origin=own), await server.connect(kernel, Cookie=cookie)]
        for more in ({"Origin": foreign}, {"Origin": "null"}, {"Origin": foreign, "Host": "attacker.example:8866"}):
            found.append(await server.connect(kernel, Cookie=cookie, **more))
        await close(await server.connect(kernel, Cookie=cookie, Origin=own))
        await close(await server.connect(kernel, Cookie=named, Origin="https://proxy.example", Host="proxy.example"))
        return found

    assert asyncio.run(statuses()) == [403] * 5
