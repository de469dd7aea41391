"""The server of the page: for one user on one machine. Who does not know the token gets nothing."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import RequestHandler

__all__ = ["refusal", "serve"]

LOOPBACK = "127.0.0.1"
STATIC = "/static/"  # Bokeh's own scripts, the same for everybody: a page cannot hand the token on to them


async def serve(fill: Callable[[Document], object], started: Callable[[str], None]) -> None:
    """Serve a page on the loopback interface, at a port that is free, until the task is cancelled.

    Parameters
    ----------
    fill : callable
        Makes the page, for each document anew.
    started : callable
        Gets the address, with the token.
    """
    logging.getLogger("bokeh.server").setLevel(logging.ERROR)  # it warns when a page is closed
    sockets = bind_sockets(0, LOOPBACK)
    port = sockets[0].getsockname()[1]
    token = secrets.token_urlsafe(32)
    guarded = _Guarded(Application(FunctionHandler(fill)), token, [f"{LOOPBACK}:{port}", f"localhost:{port}"])
    http = HTTPServer(guarded)
    http.add_sockets(sockets)
    server = BaseServer(IOLoop.current(), guarded, http)
    server.start()
    try:
        started(f"http://{LOOPBACK}:{port}/?token={token}")
        await asyncio.Event().wait()
    finally:
        server.stop(wait=False)


def refusal(request: HTTPServerRequest, token: str, hosts: Collection[str]) -> str:
    """Why a request is not answered; empty where it is.

    A name that somebody else made point to this machine shows in the Host (DNS rebinding), a page of somebody else in
    the Origin, which browsers send with all that is not a plain visit, and with every WebSocket.

    Parameters
    ----------
    request : `~tornado.httputil.HTTPServerRequest`
    token : str
    hosts : collection of str
        Names and port of this server.

    Returns
    -------
    str
    """
    websocket = request.headers.get("Upgrade", "").lower() == "websocket"
    origin = request.headers.get("Origin")
    if request.headers.get_list("Host") not in [[host] for host in hosts]:
        return "This server has another name."
    if origin not in [f"http://{host}" for host in hosts] and (origin is not None or websocket):
        return "Pages of other servers get no answer."
    given = request.query_arguments.get("token", [b""])[-1]
    if not request.path.startswith(STATIC) and not secrets.compare_digest(given, token.encode()):
        return "The address is not complete: open the one that the terminal shows."
    return ""


class _Guarded(BokehTornado):
    """Bokeh's web application behind one gate, for pages, scripts and WebSockets alike."""

    def __init__(self, application: Application, token: str, hosts: list[str]) -> None:
        super().__init__(application, extra_websocket_origins=hosts, log_function=lambda _: None)
        self._token, self._hosts = token, hosts

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> HTTPMessageDelegate:
        """What answers a request."""
        reason = refusal(request, self._token, self._hosts)
        if reason:
            return self.get_handler_delegate(request, _Refused, {"reason": reason})
        return super().find_handler(request, **kwargs)


class _Refused(RequestHandler):
    def initialize(self, reason: str) -> None:
        self.reason = reason

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self.reason}\n")
