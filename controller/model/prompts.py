"""Prompts to the operator: their ids, and the answers that each accepts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controller.model.base import Data


class PromptId(StrEnum):
    """Ids of the prompts; they never change, scripts answer by them."""

    PREFLIGHT = "preflight"
    FLIP = "flip"
    FLIP_CHECK = "flip-check"


STOP = "stop"
"""Answer to any prompt that ends the session."""


class PreflightAnswer(StrEnum):
    """Answers to the prompt before the first exposure."""

    START = "start"
    LOOK = "look"
    """Take another low-dose image of the field of view."""
    STOP = STOP


class FlipAnswer(StrEnum):
    """Answers to the flip prompt; on a simulator the mistakes in `Hands` can be chosen too."""

    DONE = "done"
    STOP = STOP


class FlipCheckAnswer(StrEnum):
    """Answers to the prompt after a flip that the images do not confirm."""

    RETAKE_IMAGE = "retake-image"
    BACK_TO_FLIP = "back-to-flip"
    OVERRIDE = "override"
    STOP = STOP


class Prompt(Data):
    """A question to the operator; answered on the screen or by `dualtilt answer ID VALUE`."""

    id: PromptId
    title: str
    text: str
    """Instructions, one a line."""
    choices: Annotated[tuple[str, ...], Field(min_length=1)]
    needs_reason: tuple[str, ...] = ()
    """Choices that need a typed reason, which the report shows."""
    rehearsed: tuple[str, ...] = ()
    """Choices that only a simulator offers: mistakes of its operator."""
    unanswered: str = ""
    """Consequence of no answer, for people."""
    session: str = ""
    """Folder to name with the answer, while other sessions run; empty if this one runs alone."""
