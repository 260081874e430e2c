"""Web server of the read-only screen of one session, with textual-serve.

Each visitor gets a process that attaches to the session like any read-only screen. The page loads
nothing from other servers, because the network of a microscope often has no internet. It connects
to the address it was loaded from, so tunnels and proxies need no settings.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from socket import gethostname
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

from controller.common.errors import UsageError
from controller.common.python_command import python_module_command

MAX_VISITORS = 8
"""Largest number of visitors; each is a process of about 60 MB on the session's machine."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScreenServer(Server):
    """Server for the session in `folder`; no visitor can give a command.

    Parameters
    ----------
    folder
        The session's folder.
    host, port
        Address to listen at.
    names
        More names under which browsers reach this server, e.g. that of a proxy.
    """

    def __init__(self, folder: Path, host: str, port: int, names: Sequence[str] = ()) -> None:
        super().__init__(
            shlex.join(python_module_command("controller.ui.tui.web", str(folder))),
            host=host,
            port=port,
            title=f"dualtilt {folder.name}",
            templates_path=Path(__file__).parent,
        )
        self._names = {*LOOPBACK, host.lower(), gethostname().lower(), *map(str.lower, names)}
        self._visitors: set[asyncio.Task[object]] = set()

    def serve(self, debug: bool = False) -> None:
        """Serve until interrupted; print the address as soon as the server listens."""
        del debug

        def greet(_: str) -> None:
            for line in greeting(self.host, self.port):
                print(line, flush=True)  # noqa: T201

        web.run_app(self._make_app(), host=self.host, port=self.port, print=greet, access_log=None)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._check_source)
        return app

    @web.middleware
    async def _check_source(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a request that another server's page has led here.

        A page of another server can give its own name the address of this one (DNS rebinding). Its
        requests then name that server in `Host`.
        """
        name = (urlsplit(f"//{request.host}").hostname or "").rstrip(".")
        if name not in self._names | {_own_address(request)}:
            raise web.HTTPForbidden(
                text=f"{name!r} is not a name of this server: start it with --name {name}"
            )
        came_from = urlsplit(request.headers.get("Origin", f"//{request.host}")).netloc
        if came_from != request.host:
            raise web.HTTPForbidden(text=f"the page comes from another server: {came_from}")
        return await handler(request)

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the server does not listen yet."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Close the visitors' connections, which ends their processes."""
        del app
        for visitor in self._visitors:
            visitor.cancel()

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Show the screen to one visitor until the visitor leaves.

        Raises
        ------
        aiohttp.web.HTTPServiceUnavailable
            If there are too many visitors.
        """
        if len(self._visitors) >= MAX_VISITORS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_VISITORS} visitors already")
        visitor = asyncio.current_task()
        assert visitor is not None
        self._visitors.add(visitor)
        try:
            return await super().handle_websocket(request)
        finally:
            self._visitors.discard(visitor)


def _own_address(request: web.Request) -> str:
    """Return the address of this machine at which a request arrived."""
    at = request.transport.get_extra_info("sockname") if request.transport else None
    return str(at[0]) if isinstance(at, tuple) else ""


def greeting(host: str, port: int) -> list[str]:
    """Return the address of the screen, with a warning if other machines can reach it."""
    here = host if host in LOOPBACK else "this machine"
    lines = [f"read-only screen at http://{f'[{here}]' if ':' in here else here}:{port}"]
    if host not in LOOPBACK:
        lines += [
            f"WARNING: listening on {host}: anybody who reaches port {port} sees the session,"
            " unencrypted and without a password (nobody can command it).",
            f"Safer: leave --host out and use `ssh -L {port}:localhost:{port}` to this machine.",
        ]
    return [*lines, "Ctrl-C ends the server; the session continues"]


def serve(folder: Path, host: str, port: int, names: Sequence[str] = ()) -> None:
    """Serve until interrupted.

    Raises
    ------
    UsageError
        If it cannot listen at that address.
    """
    try:
        ScreenServer(folder, host, port, names).serve()
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
