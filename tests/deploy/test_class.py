"""The server for a class, on a notebook of the tests: who gets in, and what a page shows and may do."""

import asyncio
import json
import re
import urllib.parse

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from benchmarks._browser import TOKEN
from tests.helpers.serving import close, kernel_of, serving, wait_until

pytestmark = pytest.mark.slow

CELLS = (
    "# a comment of ours\nprint('shown' + ' text')",
    "def fail(comm, message):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
    "        get_ipython().showtraceback()\nget_ipython().kernel.comm_manager.register_target('fail', fail)",
    "raise ValueError('a word of ' + 'the cell')",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    cells = [new_markdown_cell("# A lesson"), *map(new_code_cell, CELLS)]
    nbformat.write(new_notebook(cells=cells), folder / "other.ipynb")
    (folder / "picture.png").write_bytes(b"a picture")
    with serving(folder, cells) as found:
        yield found


def test_the_form_takes_the_token(server):
    form = server.ask("/login?next=%2F%22%3E%3Cb%3E")
    assert [text for text in ("<b>", "://", "$") if text in form.text] == []
    xsrf = form.headers["Set-Cookie"].split(";")[0]
    for typed, status in (("wrong", 401), (TOKEN, 302)):
        data = urllib.parse.urlencode({"password": typed, "_xsrf": xsrf.split("=", 1)[1]}).encode()
        answer = server.ask("/login", cookies=xsrf, data=data)
        assert answer.status == status
        assert ("That is not the token" in answer.text) == (status == 401)
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert server.ask("/login", data=urllib.parse.urlencode({"password": TOKEN}).encode()).status == 403  # no _xsrf


def test_one_notebook_and_no_file_is_served(server):
    cookies, _ = server.entered
    for path in ("lesson.ipynb", "other.ipynb", "picture.png", "log", "../log", "%2e%2e/log", "/etc/hostname"):
        assert server.ask(f"/voila/files/{path}", cookies=cookies).status in (403, 404)
    assert server.ask("/other.ipynb", cookies=cookies).status == 404  # no lesson
    for path in ("/voila/render/other.ipynb", "/voila/tree", "/api/contents", "/api/kernels", "/files"):
        answer = server.ask(path, cookies=cookies)
        assert answer.status == 302
        assert server.ask(answer.location, cookies=cookies).status == 403


def test_the_page_has_no_source_and_no_traceback(server):
    _, page = server.entered
    assert "shown text" in page.text
    assert "There was an error when executing cell" in page.text
    for secret in ("a comment of ours", "print(", "a word of", "Traceback", "ValueError", TOKEN):
        assert secret not in page.text
    assert "a word of the cell" in server.log.read_text()
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text) == []


async def answers(server, messages):
    """Type -> content of the messages that come back, up to an error, where a page sends these to its kernel."""
    cookies, page = server.entered
    socket, found = await server.connect(kernel_of(page), Cookie=cookies, Origin=server.address), {}
    for kind, content in messages.items():
        header = {"msg_id": f"own {kind}", "msg_type": kind, "session": "tests", "username": "", "version": "5.3"}
        message = {"header": {**header, "date": ""}, "parent_header": {}, "metadata": {}, "content": content}
        await socket.write_message(json.dumps({**message, "channel": "shell", "buffers": []}))
    while not {"kernel_info_reply", "error"} <= found.keys():
        received = json.loads(await asyncio.wait_for(socket.read_message(), 30))
        if received["parent_header"].get("msg_id", "").startswith("own"):
            found[received["header"]["msg_type"]] = received["content"]
    await close(socket)
    return found


def test_a_page_can_run_no_code_and_sees_no_traceback_later(server):
    messages = {
        "execute_request": {"code": "open('made', 'w')", "silent": False},
        "kernel_info_request": {},
        "comm_open": {"comm_id": "1", "target_name": "fail", "data": {}},
    }
    found = asyncio.run(answers(server, messages))
    assert "execute_reply" not in found
    assert found["kernel_info_reply"]["status"] == "ok"
    error = found["error"]
    assert error["ename"] == "ExecutionError"
    assert "ZeroDivisionError" not in json.dumps(error)
    assert "details" in error["traceback"][0]
    assert not (server.log.parent / "made").exists()


def test_a_page_ends_its_own_kernel_and_another_site_does_not(server):
    cookies, page = server.enter()
    path, before = f"/voila/api/shutdown/{kernel_of(page)}", server.served.kernels()
    assert server.ask(path, cookies=cookies, data=b"").status == 403
    assert server.ask(path, cookies=f"{cookies}; _xsrf=00ff", data=b"_xsrf=11ee").status == 403
    assert server.served.kernels() >= before
    assert server.ask(path, cookies=f"{cookies}; _xsrf=00ff", data=b"_xsrf=00ff").status == 204
    wait_until(lambda: server.served.kernels() <= before, 20)  # the pool may have been filled up meanwhile
    assert server.ask(f"/api/kernels/{kernel_of(page)}", cookies=cookies).status == 404
