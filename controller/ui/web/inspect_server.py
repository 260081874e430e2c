"""Web server of the page of `dualtilt inspect --browser`, for the person who started it.

It listens on this machine only. Each of its addresses begins with a secret token, because a page
on it may start processing: other users of the machine do not know it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import Field, ValidationError

from controller.common.errors import UsageError
from controller.model.base import Data
from controller.ui.web.answers import SECURITY, errors_in_one_line
from controller.ui.web.inspected import Inspected
from controller.ui.web.process_run import ProcessRun
from controller.ui.web.source_check import Handler, source_check

HERE = "127.0.0.1"
LARGEST_SIDE_PX = 2048
"""Longest side of a recorded image on the page."""
THUMBNAIL_PX = 160
STATIC = {
    "": "inspect.html",
    "page.css": "page.css",
    "inspect.css": "inspect.css",
    "inspect.js": "inspect.js",
}
"""File of this folder for each path."""
HEADERS = {**SECURITY, "Referrer-Policy": "no-referrer"}
T = TypeVar("T")


class Drops(Data):
    """Request to process again: tilts to leave out, as ``A:12,13``."""

    drop: tuple[str, ...] = Field(max_length=16)


class _Answers:
    """Answers to the requests of one folder's page."""

    def __init__(self, inspected: Inspected) -> None:
        self._inspected = inspected
        self._one_at_a_time = asyncio.Lock()
        self.run = ProcessRun()

    async def static(self, request: web.Request) -> web.StreamResponse:
        name = STATIC.get(request.match_info["name"])
        if name is None:
            raise web.HTTPNotFound(text="no such page", headers=HEADERS)
        return web.FileResponse(Path(__file__).parent / name, headers=HEADERS)

    async def content(self, request: web.Request) -> web.StreamResponse:
        page = await self._made(self._inspected.page, request.query.get("results", ""))
        return _json(page)

    async def image(self, request: web.Request) -> web.StreamResponse:
        side_px = LARGEST_SIDE_PX if "large" in request.query else THUMBNAIL_PX
        series, section = request.match_info["series"], int(request.match_info["section"])
        return await self._png(self._inspected.image, series, section, side_px)

    async def picture(self, request: web.Request) -> web.StreamResponse:
        results, name = request.query.get("results", ""), request.match_info["name"]
        return await self._png(self._inspected.picture, results, name)

    async def slices(self, request: web.Request) -> web.StreamResponse:
        try:
            off_middle_nm = float(request.query.get("at", "0"))
        except ValueError:
            raise web.HTTPBadRequest(text="no number", headers=HEADERS) from None
        results = request.query.get("results", "")
        return await self._png(self._inspected.slices, results, off_middle_nm)

    async def process(self, request: web.Request) -> web.StreamResponse:
        """Start `dualtilt process`; only the page itself may ask, in JSON and with its origin."""
        if request.content_type != "application/json" or "Origin" not in request.headers:
            raise web.HTTPForbidden(text="not asked by the page", headers=HEADERS)
        try:
            drops = Drops.model_validate_json(await request.read())
            command = self._inspected.command(drops.drop)
        except ValidationError:
            raise web.HTTPBadRequest(text="not a list of tilts", headers=HEADERS) from None
        except UsageError as error:
            raise web.HTTPBadRequest(text=str(error), headers=HEADERS) from None
        if not self.run.start(command):
            raise web.HTTPConflict(text="processing is still running", headers=HEADERS)
        return _json(self.run.state)

    async def state(self, _: web.Request) -> web.StreamResponse:
        return _json(self.run.state)

    async def end(self, _: web.Application) -> None:
        """End a run that the page has started: the server ends."""
        await self.run.stop()

    async def _png(self, make: Callable[..., bytes], *given: object) -> web.StreamResponse:
        return web.Response(
            body=await self._made(make, *given), content_type="image/png", headers=HEADERS
        )

    async def _made(self, make: Callable[..., T], *given: object) -> T:
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(make, *given)
        except (LookupError, UsageError) as error:
            raise web.HTTPNotFound(text=str(error.args[0]), headers=HEADERS) from None


def inspect_app(inspected: Inspected, token: str) -> web.Application:
    """Return the web application; all its paths begin with the token."""
    errors_in_one_line()
    answers = _Answers(inspected)
    app = web.Application(middlewares=[source_check(HERE, ()), _token_check(token)])
    app.router.add_get("/{token}/content", answers.content)
    app.router.add_get(r"/{token}/image/{series:[AB]}/{section:\d{1,6}}.png", answers.image)
    app.router.add_get(r"/{token}/picture/{name:[\w-]+}.png", answers.picture)
    app.router.add_get("/{token}/slices.png", answers.slices)
    app.router.add_get("/{token}/run", answers.state)
    app.router.add_post("/{token}/process", answers.process)
    app.router.add_get("/{token}/{name:[a-z.]*}", answers.static)
    app.on_shutdown.append(answers.end)
    return app


def _token_check(token: str) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.path.split("/")[1]
        if not secrets.compare_digest(given.encode(), token.encode()):
            raise web.HTTPNotFound(text="the address is the one that `dualtilt inspect` printed")
        return await handler(request)

    return check


def _json(data: Data) -> web.Response:
    return web.Response(
        text=data.model_dump_json(), content_type="application/json", headers=HEADERS
    )


def serve_inspected(inspected: Inspected, port: int) -> None:
    """Serve until interrupted; print the address as soon as the server listens.

    Parameters
    ----------
    port
        TCP port; 0 for any free one.

    Raises
    ------
    UsageError
        If it cannot listen at that port.
    """
    try:
        listening = socket.create_server((HERE, port))
    except OSError as error:
        raise UsageError(f"cannot listen on {HERE}, port {port}: {error.strerror}") from None
    token = secrets.token_urlsafe(24)

    def greet(*_: Any) -> None:
        address = f"http://{HERE}:{listening.getsockname()[1]}/{token}/"
        print(f"page at {address}", flush=True)  # noqa: T201
        print("Ctrl-C ends it, and processing that it has started", flush=True)  # noqa: T201

    web.run_app(inspect_app(inspected, token), sock=listening, print=greet, access_log=None)
