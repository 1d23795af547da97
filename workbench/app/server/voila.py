"""``python -m workbench.app.server.voila``: Voila that checks hosts and origins and serves plotly.js and the lessons.

The page loads plotly.js while its kernel starts; from the kernel it would come last, as one message of five megabytes.
A web site can give its own name the address of this machine (DNS rebinding): for the browser, its pages and the
dashboard then have one origin. Such requests carry that name in their Host header, and are refused.
"""

import ipaddress
import logging
import os
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupyter_server.utils import url_path_join
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, authenticated
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler
from voila.tornado.handler import TornadoVoilaHandler

from workbench.app.server.lessons import LONG_LESSONS, NOTEBOOKS, PAGES
from workbench.app.server.serve import page_url

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class ForeignRequest(Matcher):
    """Match requests for a host that is not the server's, and websocket handshakes whose origin is not that host."""

    def __init__(self, address: str, names: Iterable[str] = ()) -> None:
        self.hosts = LOCAL_HOSTS | {address.lower()} | {name.lower() for name in names}
        self.all_addresses = address in ("0.0.0.0", "::")  # noqa: S104 - compared only
        self.hosts |= {socket.gethostname().lower()} if self.all_addresses else set()

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return empty arguments for `Refuse` if the request is foreign, else None."""
        is_foreign = not self._is_host(request.host_name.strip("[]"))
        if not is_foreign and request.headers.get("Upgrade", "").lower() == "websocket":
            is_foreign = urlsplit(request.headers.get("Origin", "")).netloc.lower() != request.host.lower()
        return {} if is_foreign else None

    def _is_host(self, host: str) -> bool:
        with suppress(ValueError):
            return host in self.hosts or (self.all_addresses and bool(ipaddress.ip_address(host)))
        return False


class Refuse(RequestHandler):
    """Answer every request with 403 and a sentence."""

    def prepare(self) -> None:
        """Answer, whatever the request's method is."""
        logging.getLogger("workbench").warning("Refused a request for the host %r.", self.request.host)
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        message = "This is not an address of the dashboard. Open the one that the server printed at its start"
        self.finish(f"{message}; if users reach it by another name, put that name into WORKBENCH_HOSTS.")


class LessonHandler(TornadoVoilaHandler):  # type: ignore[misc]
    """Serves a lesson: a short one by running its notebook, a long one as the page from ``make notebooks``."""

    @property
    def contents_manager(self) -> LargeFileManager:
        """Reader of the folder of lessons; the server's own reads the folder of the dashboard's notebook."""
        return LargeFileManager(root_dir=str(NOTEBOOKS))

    @authenticated
    async def get(self, path: str = "") -> None:
        """Answer a request for a lesson, or for a script of its figures."""
        name = Path(path)  # without folders, as the route requires; lessons link to each other as .ipynb
        page = PAGES / name.with_suffix({".ipynb": ".html"}.get(name.suffix, name.suffix))
        lesson = name.match("[0-9]_*") and (NOTEBOOKS / name).with_suffix(".ipynb").is_file()
        if page.is_file() and (not lesson or name.name.startswith(LONG_LESSONS)):
            self.set_header("Content-Type", "text/javascript" if page.suffix == ".js" else "text/html; charset=utf-8")
            self.finish(page.read_bytes())
        elif lesson:
            self.notebook_path = name.with_suffix(".ipynb").name
            await super().get()
        else:
            raise HTTPError(404)


class DashboardServer(Voila):  # type: ignore[misc]
    """Voila with a host check, plotly.js and the lessons; its settings keep their names."""

    def init_handlers(self) -> list[Any]:
        """Add plotly.js and the lessons to Voila's handlers; remove the one that reveals a page's query and token."""
        locations: Any = find_spec("plotly").submodule_search_locations  # type: ignore[union-attr]  # importing is slow
        plotly = {"path": str(Path(locations[0]) / "package_data")}
        url = url_path_join(self.server_url, r"/voila/plotly/(plotly\.min\.js)")
        handlers = [handler for handler in super().init_handlers() if handler[1] is not RequestInfoSocketHandler]
        lessons = url_path_join(self.server_url, r"/(?:voila/lessons/)?(\w[\w.]*\.(?:html|js|ipynb))")
        added = [(url, StaticFileHandler, plotly), (lessons, LessonHandler, handlers[-1][2])]
        return [*added, *handlers]

    def listen(self) -> None:
        """Refuse foreign requests before any handler sees them, static files included, then serve."""
        logging.getLogger("tornado.general").addFilter(is_not_ping_warning)
        names = filter(None, os.environ.get("WORKBENCH_HOSTS", "").replace(",", " ").split())
        self.app.default_router.rules.insert(0, Rule(ForeignRequest(self.ip, names), Refuse))
        super().listen()

    def launch_browser(self) -> None:
        """Open the page with its token by a file: other users can read the browser's command line."""
        url = escape(page_url(self.ip, self.port, self.identity_provider.token))
        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
            file.write(f'<meta http-equiv="refresh" content="0;url={url}"><a href="{url}">Open the dashboard</a>')
        threading.Thread(target=webbrowser.open, args=[Path(file.name).as_uri()], daemon=True).start()


def is_not_ping_warning(record: logging.LogRecord) -> bool:
    """Return False for tornado's warning about Jupyter's default ping settings, which users cannot act on."""
    return "websocket_ping_timeout" not in record.getMessage()


if __name__ == "__main__":
    DashboardServer.launch_instance()
