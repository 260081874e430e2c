"""Commands of the operator to a running session."""

from __future__ import annotations

from enum import StrEnum

from controller.model.base import Data


class StopWhen(StrEnum):
    """Moment at which a stop takes effect; the beam is blanked in every case."""

    AFTER_TILT = "after-tilt"
    AT_END_OF_SERIES = "end-of-series"
    NOW = "now"


AFTER_TARGET = "after-target"
"""Moment of a stop between two sessions of a grid with several targets; the queue obeys it."""


class Answer(Data):
    """The answer to a prompt."""

    prompt_id: str
    value: str
    reason: str = ""
    by: str = "operator"
