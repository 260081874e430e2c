"""A session for the screen: a real service, and an engine that records its commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from controller.model.events import Event
from controller.service.session_server import SessionService
from controller.ui.tui.session_app import SessionApp
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine
from tests.tui.support import lines, shown


@dataclass
class Session:
    folder: Path
    service: SessionService
    engine: RecordingEngine

    def publish(self, *events: Event) -> None:
        for event in events:
            self.service.publish(event)

    def app(self, *, read_only: bool = False) -> SessionApp:
        return SessionApp(self.folder, read_only=read_only)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until another thread makes the condition true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        await asyncio.sleep(0.02)


async def until_shown(app: SessionApp, pilot: Pilot[None], text: str) -> None:
    try:
        await until(lambda: text in shown(app))
    except AssertionError:
        pytest.fail(f"{text!r} is not shown:\n{shown(app)}")
    await pilot.pause()


async def lines_with_keys(app: SessionApp, *keys: str) -> list[str]:
    """Return the lines of the terminal once the last one offers keys.

    Textual empties that line and fills it again some time after the keys that work have changed.
    """
    seen: list[str] = []

    def offered() -> bool:
        seen[:] = lines(app)
        return all(key in seen[-1] for key in keys)

    try:
        await until(offered)
    except AssertionError:
        pytest.fail(f"{keys} are not offered:\n{shown(app)}")
    return seen


FLIP = tuple(script.flip())
REFUSED = (*FLIP, *script.flip_refused())
WAIT_UNTIL_KEYS_COUNT = "wait:600"
"""Pause of the pilot (ms): a new prompt ignores keys at first."""
