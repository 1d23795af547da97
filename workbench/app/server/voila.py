"""``python -m workbench.app.server.voila``: Voila, which also serves plotly.js.

The page fetches and reads that while its kernel starts. From the kernel it would come last, five megabytes in one
message, and again with every page. `serve` becomes this.
"""

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join
from tornado.web import StaticFileHandler
from voila.app import Voila


class Server(Voila):  # type: ignore[misc]
    """Voila, under the same name and settings."""

    def init_settings(self) -> dict[str, Any]:
        """Voila's."""
        logging.getLogger("tornado.general").addFilter(means_something)
        return dict(super().init_settings())

    def init_handlers(self) -> list[Any]:
        """Voila's, the last of which takes all that is left."""
        url = url_path_join(self.server_url, r"/voila/plotly/(plotly\.min\.js)")
        return [(url, StaticFileHandler, {"path": str(library())}), *super().init_handlers()]


def means_something(record: logging.LogRecord) -> bool:
    """All but tornado's remark on Jupyter's default settings, with which nobody who starts this can do anything."""
    return "websocket_ping_timeout" not in record.getMessage()


def library() -> Path:
    """The folder in which plotly.py keeps plotly.min.js."""
    spec = find_spec("plotly")  # found, not imported: that takes a while
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("plotly is not installed: run make dashboard, or pip install -e .")
    return Path(spec.submodule_search_locations[0]) / "package_data"


if __name__ == "__main__":
    Server.launch_instance()
