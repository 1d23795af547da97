"""A server: who comes in, and its kernels. deploy/class/voila.json and app/jupyter/voila.json name these classes."""

import hmac
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.auth.login import LoginFormHandler
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager, ServerKernelManager
from jupyter_server.utils import url_path_join
from tornado.web import RequestHandler
from traitlets import Int

PAGE = Path(__file__).parent / "jupyter" / "login.html"


class Entrance(LoginFormHandler):
    """The page that asks for the token, without Jupyter's advice for whoever runs a server of their own."""

    def _render(self, message: dict[str, str] | None = None) -> None:
        action = f"login?next={self.get_query_argument('next', self.base_url)}"
        words = {
            "action": escape(action, quote=True),
            "xsrf": self.xsrf_form_html(),
            "problem": "That is not the token; ask whoever gave it to you." if message else "",
        }
        self.write(Template(PAGE.read_text(encoding="utf-8")).substitute(words))


class Guard(IdentityProvider):
    """Lets in who has the token. There are no passwords: Jupyter's would let the first one in choose one."""

    @property
    def auth_enabled(self) -> bool:
        """Whether anybody is asked; without a token somebody else must, a proxy for instance."""
        return bool(self.token)

    def get_handlers(self) -> list[tuple[str, object]]:
        """The page that asks, where the server sends those whom it does not know."""
        server: Any = self.parent
        return [(url_path_join(server.base_url, "login"), Entrance)]

    def process_login_form(self, handler: RequestHandler) -> User | None:
        """A new visitor if what they typed is the token."""
        typed = handler.get_body_argument("password", "")
        right = self.auth_enabled and hmac.compare_digest(typed.encode(), self.token.encode())
        return self.generate_anonymous_user(handler) if right else None


class Kernel(ServerKernelManager):
    """Jupyter's, which is asked for this text in place of a traceback, and does not have it."""

    traceback_replacement_message = "Something went wrong; the server's log has the details."


class Connection(ZMQChannelsWebsocketConnection):
    """Jupyter's, but what a kernel says leaves at once.

    A move of a slider is answered in several short messages. TCP keeps back all but the first until the browser has
    acknowledged that, for which it takes its time: 40 ms on Linux, longer than all the rest together.
    """

    def connect(self) -> Any:
        """Join the page and its kernel."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()


class Kernels(AsyncMappingKernelManager):
    """Jupyter's, except for when a kernel is culled.

    One that stood by is not culled for the time in which it did. Voila keeps the culler away from standby kernels. But
    as soon as a page takes one that has stood by for longer than ``cull_idle_timeout``, it counts as idle all that
    time, and dies before the page is there if the culler comes first.

    One that no page is connected to ends soon. Every request for the page begins a kernel, also that of a program which
    never asks for more, or of a browser that crashed: a few dozen of them filled 24 GB of memory. Training goes on, as
    it reports how far it is.
    """

    unconnected_timeout = Int(120, config=True, help="Seconds of silence after which a kernel without a page ends.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._taken: set[str] = set()

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Cull a kernel if it is idle; when one is looked at for the first time, its time begins."""
        kernel: Any = self.get_kernel(kernel_id)
        if kernel_id not in self._taken:
            self._taken = {known for known in self._taken if known in self} | {kernel_id}
            kernel.last_activity = datetime.now(UTC)
            return
        silent = (datetime.now(UTC) - kernel.last_activity).total_seconds()
        alone = not self._kernel_connections.get(kernel_id, 0) and kernel.execution_state != "busy"
        if alone and silent > self.unconnected_timeout:
            await self.shutdown_kernel(kernel_id)  # type: ignore[no-untyped-call]
            return
        await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]
