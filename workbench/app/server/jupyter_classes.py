"""Subclasses of Jupyter Server's classes, named in jupyter/voila.json and deploy/class/voila.json."""

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

LOGIN_PAGE = Path(__file__).parent / "jupyter" / "login.html"


class TokenForm(LoginFormHandler):
    """A login page for the token; Jupyter's own mentions command lines and passwords."""

    def _render(self, message: dict[str, str] | None = None) -> None:
        action = f"login?next={self.get_query_argument('next', self.base_url)}"
        page, problem = Template(LOGIN_PAGE.read_text(encoding="utf-8")), "That is not the token." if message else ""
        self.write(page.substitute(action=escape(action), xsrf=self.xsrf_form_html(), problem=problem))


class TokenIdentityProvider(IdentityProvider):
    """Accepts the token only; Jupyter's password form would let the first visitor choose a password."""

    @property
    def auth_enabled(self) -> bool:
        """Whether a token is needed; without one, a proxy has to authenticate users."""
        return bool(self.token)

    def get_handlers(self) -> list[tuple[str, object]]:
        """Return the login page, to which the server sends requests without a token."""
        server: Any = self.parent
        return [(url_path_join(server.base_url, "login"), TokenForm)]

    def process_login_form(self, handler: RequestHandler) -> User | None:
        """Return a new anonymous user if the form holds the token, else None."""
        token = handler.get_body_argument("password", "")
        matches = self.auth_enabled and hmac.compare_digest(token.encode(), self.token.encode())
        return self.generate_anonymous_user(handler) if matches else None


class KernelWithoutTracebacks(ServerKernelManager):
    """Defines the text in place of a traceback, an attribute that jupyter_server reads but does not define."""

    traceback_replacement_message = "Something went wrong; the server's log has the details."


class NoDelayConnection(ZMQChannelsWebsocketConnection):
    """Sends each message of a kernel at once; Nagle's algorithm would delay answers to a slider by 40 ms."""

    def connect(self) -> Any:
        """Set TCP_NODELAY, then connect the page with its kernel."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()


class IdleKernelCuller(AsyncMappingKernelManager):
    """Counts a kernel's idle time from when a page takes it from Voila's pool; ends kernels without a page early."""

    unconnected_timeout = Int(120, config=True, help="Seconds of silence after which a kernel without a page ends.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._taken: set[str] = set()

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End the kernel if it is idle for too long; Voila calls this only for kernels that pages have taken."""
        kernel: Any = self.get_kernel(kernel_id)
        if kernel_id not in self._taken:
            self._taken = {other for other in self._taken if other in self} | {kernel_id}
            kernel.last_activity = datetime.now(UTC)
            return
        idle_s = (datetime.now(UTC) - kernel.last_activity).total_seconds()
        # A request starts a kernel even if its sender never connects; a kernel that trains is never idle.
        is_unconnected = not self._kernel_connections.get(kernel_id, 0) and kernel.execution_state != "busy"
        if is_unconnected and idle_s > self.unconnected_timeout:
            await self.shutdown_kernel(kernel_id)  # type: ignore[no-untyped-call]
            return
        await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]
