"""Web server of the read-only page of one session.

The page loads nothing from other servers, because the network of a microscope often has no
internet. It connects to the address it was loaded from, so tunnels and proxies need no settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from socket import gethostname

from aiohttp import web
from PIL import Image

from controller.common.errors import UsageError
from controller.ui.picture_tools import power_spectrum
from controller.ui.view_order import SPECTRUM
from controller.ui.web.answers import SECURITY, errors_in_one_line
from controller.ui.web.page_content import page_content
from controller.ui.web.session_reader import SessionReader
from controller.ui.web.source_check import LOOPBACK, source_check

EVERY_ADDRESS = ("0.0.0.0", "::")
"""Hosts that mean: at every address of this machine."""
MAX_VISITORS = 100
"""Largest number of pages that are kept up to date at once."""
READ_EVERY_S = 0.3
"""Time between two looks at the session's files (s)."""
STATIC = {"": "page.html", "page.css": "page.css", "page.js": "page.js"}
"""File of this folder for each path."""
READER = web.AppKey("reader", SessionReader)
VISITORS = web.AppKey("visitors", set[asyncio.Task[object]])
REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; frame-ancestors 'none'; sandbox allow-scripts "
    "allow-downloads"
)
"""Policy for the report, whose views are scripts. It cannot reach this server or any other, and
the page's own policy names the only scripts that run."""


class _Page:
    """Newest content of the page, made once for all visitors."""

    def __init__(self, reader: SessionReader) -> None:
        self._reader = reader
        self._made = -1
        self.content = ""

    def update(self) -> None:
        """Read the session's files; make the content again if they changed."""
        self._reader.update()
        if self._reader.version != self._made:
            self.content = page_content(self._reader).model_dump_json()
            self._made = self._reader.version


PAGE = web.AppKey("page", _Page)


def page_app(folder: Path, host: str, names: Sequence[str] = ()) -> web.Application:
    """Return the web application for the session in `folder`; no visitor can give a command."""
    errors_in_one_line()
    app = web.Application(middlewares=[source_check(host, names)])
    app[READER] = SessionReader(folder)
    app[PAGE] = _Page(app[READER])
    app[VISITORS] = set()
    app.router.add_get("/changes", _changes)
    app.router.add_get("/picture/{view}", _picture)
    app.router.add_get("/report", _report)
    app.router.add_get("/{name:[a-z.]*}", _static)
    app.cleanup_ctx.append(_reading)
    app.on_shutdown.append(_dismiss)
    return app


async def _reading(app: web.Application) -> AsyncIterator[None]:
    """Read the session's files for as long as the server runs."""

    async def read() -> None:
        while True:
            await asyncio.to_thread(app[PAGE].update)
            await asyncio.sleep(READ_EVERY_S)

    app[PAGE].update()
    reading = asyncio.create_task(read())
    yield
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


async def _dismiss(app: web.Application) -> None:
    """Close the visitors' connections: the server ends."""
    for visitor in app[VISITORS]:
        visitor.cancel()


async def _static(request: web.Request) -> web.StreamResponse:
    name = STATIC.get(request.match_info["name"])
    if name is None:
        raise web.HTTPNotFound(text="no such page: the session is shown at /", headers=SECURITY)
    return web.FileResponse(Path(__file__).parent / name, headers=SECURITY)


async def _changes(request: web.Request) -> web.StreamResponse:
    """Send the page's content whenever it has changed, as server-sent events."""
    visitors, visitor = request.app[VISITORS], asyncio.current_task()
    if len(visitors) >= MAX_VISITORS or visitor is None:
        raise web.HTTPServiceUnavailable(text=f"{MAX_VISITORS} visitors already")
    reply = web.StreamResponse(headers={**SECURITY, "Content-Type": "text/event-stream"})
    visitors.add(visitor)
    try:
        await reply.prepare(request)
        await _send_changes(reply, request.app[PAGE])
    except ConnectionError:
        pass  # the visitor has left
    finally:
        visitors.discard(visitor)
    return reply


async def _send_changes(reply: web.StreamResponse, page: _Page) -> None:
    sent = ""
    while True:
        if page.content != sent:
            sent = page.content
            await reply.write(b"data: " + sent.encode() + b"\n\n")
        else:
            await reply.write(b":\n\n")  # tells whether the visitor is still there
        await asyncio.sleep(READ_EVERY_S)


async def _picture(request: web.Request) -> web.StreamResponse:
    view = request.match_info["view"].removesuffix(".png")
    try:
        body = await asyncio.to_thread(_png, request.app[READER], view)
    except LookupError as error:
        raise web.HTTPNotFound(text=str(error.args[0]), headers=SECURITY) from None
    return web.Response(body=body, content_type="image/png", headers=SECURITY)


def _png(reader: SessionReader, view: str) -> bytes:
    """Return a picture as PNG; its first row is at the top."""
    pixels = power_spectrum(reader.picture("frame")) if view == SPECTRUM else reader.picture(view)
    content = io.BytesIO()
    Image.fromarray(pixels[::-1]).save(content, "PNG", compress_level=1)
    return content.getvalue()


async def _report(request: web.Request) -> web.StreamResponse:
    try:
        page = await asyncio.to_thread(request.app[READER].report)
    except LookupError as error:
        raise web.HTTPNotFound(text=str(error.args[0]), headers=SECURITY) from None
    headers = {**SECURITY, "Content-Security-Policy": REPORT_POLICY}
    return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)


def greeting(host: str, port: int) -> list[str]:
    """Return the address of the page, with a warning if other machines can reach it."""
    here = gethostname() if host in EVERY_ADDRESS else host
    lines = [f"read-only page at http://{f'[{here}]' if ':' in here else here}:{port}"]
    if host not in LOOPBACK:
        lines += [
            f"WARNING: listening on {host}: anybody who reaches port {port} sees the session,"
            " unencrypted and without a password (nobody can command it).",
            f"Safer: leave --host out and use `ssh -L {port}:localhost:{port}` to this machine.",
        ]
    return [*lines, "Ctrl-C ends the server; the session continues"]


def serve(folder: Path, host: str, port: int, names: Sequence[str] = ()) -> None:
    """Serve until interrupted; print the address as soon as the server listens.

    Raises
    ------
    UsageError
        If it cannot listen at that address.
    """

    def greet(_: str) -> None:
        for line in greeting(host, port):
            print(line, flush=True)  # noqa: T201

    try:
        web.run_app(
            page_app(folder, host, names), host=host, port=port, print=greet, access_log=None
        )
    except OSError as error:
        # asyncio's own text says the address once more
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"cannot listen on {host}, port {port}: {reason}") from None
