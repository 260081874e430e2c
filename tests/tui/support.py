"""Run the screen without a terminal, and read its text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from textual.pilot import Pilot

from controller.model.events import Event
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status
from controller.ui.tui.screen_messages import PictureArrived, RecordsArrived, StatusArrived, View
from controller.ui.tui.session_app import SessionApp
from tests.support import scripted_session as script

FOLDER = Path("/data/au-assembly")

Body = Callable[[SessionApp, Pilot[None]], Awaitable[None]]


def drive(body: Body, app: SessionApp | None = None, size: tuple[int, int] = (80, 24)) -> None:
    """Run a screen that gets messages from `body` only."""

    async def run() -> None:
        screen = app or SessionApp(FOLDER, follow=False)
        async with screen.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await body(screen, pilot)

    asyncio.run(run())


def post(app: SessionApp, events: Iterable[Event], start: int = 0) -> None:
    """Post events as the follower does: records, then the status after them."""
    records = script.records(iter(events), start)
    status = app.status if start else SessionStatus()
    for record in records:
        status = next_status(status, record)
    app.post_message(RecordsArrived(records))
    app.post_message(StatusArrived(status))


def post_pictures(app: SessionApp) -> None:
    """Post a picture for each view."""
    for name, (pixels, caption) in script.pictures().items():
        app.post_message(PictureArrived(View(name, caption, pixels, pixels, script.PIXEL_NM)))


def lines(app: SessionApp) -> list[str]:
    """Return the text of the terminal, line by line, with no-break spaces as plain spaces.

    Read where Textual draws from: tests read it while they wait, and a screenshot takes 30 times
    as long.
    """
    strips = app.screen._compositor.render_strips()
    return [strip.text.replace("\N{NO-BREAK SPACE}", " ") for strip in strips]


def shown(app: SessionApp) -> str:
    """Return the text of the terminal."""
    return "\n".join(lines(app))
