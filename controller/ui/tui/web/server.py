"""Serves the read-only screen of one session to browsers, by way of textual-serve.

Each visitor gets a process of his own that attaches to the session as any read-only screen does.
The page loads nothing from elsewhere: a microscope's network often has no way out. It finds its
way back to the server by the address it was loaded from, so tunnels and proxies need no telling.
"""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

from controller.common.errors import UsageError
from controller.common.python_command import python_module_command

MOST_VISITORS = 8
"""Each is a process of some 60 MB on a machine that has a session to run."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ScreenServer(Server):
    """Serves the session in `folder`; no visitor can give a command.

    Parameters
    ----------
    folder
        The session's folder.
    host, port
        Where to listen.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        super().__init__(
            shlex.join(python_module_command("controller.ui.tui.web", str(folder))),
            host=host,
            port=port,
            title=f"dualtilt {folder.name}",
            templates_path=Path(__file__).parent,
        )
        self._visitors: set[asyncio.Task[object]] = set()

    def serve(self, debug: bool = False) -> None:
        """Serve until interrupted; say where it is as soon as it listens."""
        del debug

        def greet(_: str) -> None:
            for line in greeting(self.host, self.port):
                print(line, flush=True)  # noqa: T201

        web.run_app(self._make_app(), host=self.host, port=self.port, print=greet, access_log=None)

    async def on_startup(self, app: web.Application) -> None:
        """Greet nobody yet: it does not listen."""

    async def on_shutdown(self, app: web.Application) -> None:
        """Send the visitors home: their processes end with their connections."""
        del app
        for visitor in self._visitors:
            visitor.cancel()

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Show one visitor the screen until he leaves.

        Raises
        ------
        aiohttp.web.HTTPForbidden
            A page from elsewhere asks in a visitor's name.
        aiohttp.web.HTTPServiceUnavailable
            There are as many visitors as can be shown round.
        """
        came_from = urlsplit(request.headers.get("Origin", f"//{request.host}")).netloc
        if came_from != request.host:
            raise web.HTTPForbidden(text=f"not from a page of {came_from}")
        if len(self._visitors) >= MOST_VISITORS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_VISITORS} visitors already")
        visitor = asyncio.current_task()
        assert visitor is not None
        self._visitors.add(visitor)
        try:
            return await super().handle_websocket(request)
        finally:
            self._visitors.discard(visitor)


def greeting(host: str, port: int) -> list[str]:
    """Where the screen is, and a plain warning where others can reach it."""
    here = host if host in LOOPBACK else "this machine"
    lines = [f"read-only screen at http://{f'[{here}]' if ':' in here else here}:{port}"]
    if host not in LOOPBACK:
        lines += [
            f"WARNING: listening on {host}: whoever reaches port {port} sees the session,"
            " unencrypted and with no password (nobody can command it).",
            f"Without that: leave --host out, and `ssh -L {port}:localhost:{port}` to here.",
        ]
    return [*lines, "Ctrl-C ends it; the session goes on"]


def serve(folder: Path, host: str, port: int) -> None:
    """Serve until interrupted.

    Raises
    ------
    UsageError
        Where it cannot listen there.
    """
    try:
        ScreenServer(folder, host, port).serve()
    except OSError as error:
        raise UsageError(f"cannot listen on {host}, port {port}: {error.strerror}") from None
