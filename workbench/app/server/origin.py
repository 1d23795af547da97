"""Refuse requests that the page of another web site has made a browser send.

A site can give its own name the address of this machine (DNS rebinding): for the browser, its pages and the dashboard
then have one origin. Such requests carry that name in their Host header.
"""

import ipaddress
import logging
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import RequestHandler

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class ForeignRequest(Matcher):
    """Match requests for a host that is not the server's, and websocket handshakes of another origin or of none.

    A server that listens on 0.0.0.0 or :: has every IP address and this machine's name as hosts; `names` are further
    hosts, as users or a proxy name the server.
    """

    def __init__(self, address: str, names: Iterable[str] = ()) -> None:
        self.hosts = LOCAL_HOSTS | {address.lower()} | {name.lower() for name in names}
        self.all_addresses = address in ("0.0.0.0", "::")  # noqa: S104 - compared only
        self.hosts |= {socket.gethostname().lower()} if self.all_addresses else set()

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return empty arguments for `Refuse` if the request is foreign, else None."""
        foreign = not self._is_host(request.host_name.strip("[]"))
        if not foreign and request.headers.get("Upgrade", "").lower() == "websocket":
            foreign = urlsplit(request.headers.get("Origin", "")).netloc.lower() != request.host.lower()
        return {} if foreign else None

    def _is_host(self, host: str) -> bool:
        if host in self.hosts or not self.all_addresses:
            return host in self.hosts
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


class Refuse(RequestHandler):
    """Answer every request with 403 and a sentence."""

    def prepare(self) -> None:
        """Answer before the request's method is looked at."""
        logging.getLogger("workbench").warning("Refused a request for the host %r.", self.request.host)
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(
            "This is not an address of the dashboard. Open the one that the server printed at its start; "
            "if users reach it by another name, put that name into WORKBENCH_HOSTS."
        )
