"""Refusal of requests to which the page of another server has led a browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from socket import gethostname
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from controller.common.errors import one_line

LOOPBACK = ("localhost", "127.0.0.1", "::1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def source_check(host: str, names: Sequence[str]) -> Middleware:
    """Return a middleware that answers only requests that name this server.

    A page of another server can give its own name the address of this one (DNS rebinding). Its
    requests then name that server in `Host`.

    Parameters
    ----------
    host
        Address at which the server listens.
    names
        More names under which browsers reach it, e.g. that of a proxy.
    """
    known = {*LOOPBACK, host.lower(), gethostname().lower(), *map(str.lower, names)}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = _named(request.host)
        if name not in known | {_own_address(request)}:
            shown = one_line(name)
            raise web.HTTPForbidden(
                text=f"'{shown}' is not a name of this server: start it with --name {shown}"
            )
        for origin in request.headers.getall("Origin", []):
            if _server_of(origin) != request.host:
                raise web.HTTPForbidden(
                    text=f"the page comes from another server: {one_line(origin)}"
                )
        return await handler(request)

    return check


def _named(host: str) -> str:
    """Return the name in a `Host` header; empty if there is none, or a user before it."""
    try:
        parts = urlsplit(f"//{host}")
        return "" if "@" in parts.netloc else (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""


def _server_of(origin: str) -> str:
    """Return the server in an `Origin` header; empty if there is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _own_address(request: web.Request) -> str:
    """Return the address of this machine at which a request arrived."""
    at = request.transport.get_extra_info("sockname") if request.transport else None
    return str(at[0]) if isinstance(at, tuple) else ""
