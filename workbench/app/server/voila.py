"""``python -m workbench.app.server.voila``: Voila that checks hosts and origins and serves plotly.js.

`workbench.app.server.serve` starts it. The page loads plotly.js while its kernel starts; from the kernel it would come
last, as one message of five megabytes.
"""

import logging
import os
import tempfile
import threading
import webbrowser
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join
from tornado.routing import Rule
from tornado.web import StaticFileHandler
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler

from workbench.app.server.origin import ForeignRequest, Refuse
from workbench.app.server.serve import page_url


class DashboardServer(Voila):  # type: ignore[misc]
    """Voila with our host check, plotly.js and token; its settings have the same names."""

    def init_settings(self) -> dict[str, Any]:
        """Initialise Voila's settings."""
        logging.getLogger("tornado.general").addFilter(is_not_ping_warning)
        return dict(super().init_settings())

    def init_handlers(self) -> list[Any]:
        """Add Voila's handlers and plotly.js, but not the handler that reveals a page's query, and so its token."""
        url = url_path_join(self.server_url, r"/voila/plotly/(plotly\.min\.js)")
        handlers = [handler for handler in super().init_handlers() if handler[1] is not RequestInfoSocketHandler]
        return [(url, StaticFileHandler, {"path": str(plotly_folder())}), *handlers]

    def listen(self) -> None:
        """Refuse foreign requests before any handler sees them, static files included, then serve."""
        names = filter(None, os.environ.get("WORKBENCH_HOSTS", "").replace(",", " ").split())
        self.app.default_router.rules.insert(0, Rule(ForeignRequest(self.ip, names), Refuse))
        super().listen()

    def launch_browser(self) -> None:
        """Open the page with its token, which other users must not find in the browser's command line."""
        url = escape(page_url(self.ip, self.port, self.identity_provider.token))
        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
            file.write(f'<meta http-equiv="refresh" content="0;url={url}"><a href="{url}">Open the dashboard</a>')
        threading.Thread(target=webbrowser.open, args=[Path(file.name).as_uri()], daemon=True).start()


def is_not_ping_warning(record: logging.LogRecord) -> bool:
    """Return False for tornado's warning about Jupyter's default ping settings, which users cannot act on."""
    return "websocket_ping_timeout" not in record.getMessage()


def plotly_folder() -> Path:
    """Return the folder of plotly.py's plotly.min.js, without importing plotly, which takes long."""
    locations: Any = find_spec("plotly").submodule_search_locations  # type: ignore[union-attr]
    return Path(locations[0]) / "package_data"


if __name__ == "__main__":
    DashboardServer.launch_instance()
