"""Messages to the screen. A newer status or picture replaces an older one; records stay."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from controller.model.events import Record
from controller.service.previews import Picture
from controller.service.queue_status import QueueView
from controller.service.session_status import SessionStatus


@dataclass(frozen=True, eq=False)
class View:
    """A picture with its name and caption."""

    name: str
    caption: str
    pixels: Picture
    """Full size."""
    reduced: Picture
    """Reduced to the samples that a terminal can show."""
    pixel_nm: float | None = None
    """Width of a pixel of `pixels` (nm); None if it is unknown."""


class StatusArrived(Message):
    """A newer status; it replaces one that is still in the queue."""

    def __init__(self, status: SessionStatus) -> None:
        super().__init__()
        self.status = status

    def can_replace(self, message: Message) -> bool:
        """Replace an older status in the queue."""
        return isinstance(message, StatusArrived)


class QueueArrived(Message):
    """A newer state of the queue to which the session belongs."""

    def __init__(self, queue: QueueView) -> None:
        super().__init__()
        self.queue = queue

    def can_replace(self, message: Message) -> bool:
        """Replace an older state in the queue of messages."""
        return isinstance(message, QueueArrived)


class PictureArrived(Message):
    """A newer picture of a view."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def can_replace(self, message: Message) -> bool:
        """Replace an older picture of the same view in the queue."""
        return isinstance(message, PictureArrived) and message.view.name == self.view.name


class RecordsArrived(Message):
    """New records for the log; they are never replaced."""

    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self.records = records


class MainScreenUncovered(Message):
    """The screen or dialog over the main screen has closed."""


class Unreachable(Message):
    """The session does not answer: the fault, and what to do (may be empty)."""

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.remedy = remedy
