"""Status of a series that ended early or is complete, and of the advice on it."""

from __future__ import annotations

import pytest

from controller.model.events import (
    Event,
    Phase,
    PhaseFinished,
    PhaseStarted,
)
from tests.support.status_events import (
    advised,
    ended_early,
    frame,
    status_after,
    withdrawn,
)


@pytest.mark.parametrize(
    ("later", "ended", "tilts_left"),
    [
        pytest.param((), True, 0, id="ended"),
        pytest.param((withdrawn(1), frame(1, planned=5, tilts_left=0)), True, 0, id="a retake"),
        pytest.param((frame(2, planned=5, tilts_left=2),), False, 2, id="continued after all"),
    ],
)
def test_a_series_that_ended_early_is_complete_until_it_is_continued(
    later: tuple[Event, ...], ended: bool, tilts_left: int
) -> None:
    events = (frame(0, planned=5), frame(1, planned=5), ended_early(2, 3), *later)
    series = status_after(*events).series["A"]
    assert (series.ended_early is not None, series.complete) == (ended, ended)
    assert (series.tilts_left, series.planned) == (tilts_left, 5)


COMPLETE = tuple(frame(i, planned=3) for i in range(3))


@pytest.mark.parametrize(
    ("events", "topics"),
    [
        pytest.param(COMPLETE[:2], ["convergence", "retake"], id="tilts left"),
        pytest.param(COMPLETE, ["retake"], id="no tilts left"),
        pytest.param(
            (*COMPLETE, PhaseStarted(phase=Phase.A), PhaseFinished(phase=Phase.A)),
            [],
            id="the series is over",
        ),
    ],
)
def test_advice_is_shown_while_it_can_be_followed(
    events: tuple[Event, ...], topics: list[str]
) -> None:
    about_a = advised("A", "convergence"), advised("A", "retake", tilt_number=2)
    status = status_after(*events, *about_a, advised("B", "convergence"))
    assert [known.topic for known in status.standing_advice("A")] == topics
