"""The help screen explains all keys and words."""

from __future__ import annotations

import pytest
from textual.binding import Binding
from textual.pilot import Pilot

from controller.model.events import Event
from controller.ui.tui.help_screen import PAGES
from controller.ui.tui.session_app import SessionApp
from tests.support import scripted_session as script
from tests.tui.phases import upto_a41, upto_flip
from tests.tui.support import FOLDER, drive, post, shown


@pytest.mark.parametrize("key", ["question_mark", "f1"])
def test_all_of_the_help_can_be_scrolled_on_a_small_screen(key: str) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await pilot.press(key)
        await pilot.pause()
        seen = shown(app)
        for _ in range(6):
            await pilot.press("pagedown")
            await pilot.wait_for_scheduled_animations()
            seen += shown(app)
        words = [word for rows in PAGES.values() for word, _ in rows]
        assert [word for word in words if word not in seen] == []

    drive(body)


def test_help_explains_every_key() -> None:
    explained = " ".join(word for word, _ in PAGES["keys"]).replace("?", "question_mark").split()
    keys = {
        key
        for binding in SessionApp.BINDINGS
        if isinstance(binding, Binding)
        for key in binding.key.split(",")
    }
    assert keys <= set(explained)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        pytest.param(
            upto_a41(),
            ("behind", "beam", "counts", "dose", "shift", "residual", "A alone", "±", "GOOD"),
            id="series",
        ),
        pytest.param(
            [script.started(FOLDER), *script.preflight(), *script.shower()],
            ("this angle", "size", "drift"),
            id="shower",
        ),
        pytest.param(
            [*upto_flip(), *script.flipped()],
            ("flipped", "same side up", "next best", "residual tilt"),
            id="flip",
        ),
    ],
)
def test_help_explains_the_words_on_the_screen(events: list[Event], words: tuple[str, ...]) -> None:
    explained = " ".join(word for rows in PAGES.values() for word, _ in rows)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, events)
        await pilot.pause()
        assert [word for word in words if word not in shown(app)] == []
        assert [word for word in words if word not in explained] == []

    drive(body)
