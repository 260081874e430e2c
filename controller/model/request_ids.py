"""Request ids of a session: session, step, purpose and number, separated by slashes."""

from __future__ import annotations

from typing import NamedTuple

TRACKING = "track"
"""Start of the purpose of every tracking shot: track-0, track-drift-1, ..."""


class RequestName(NamedTuple):
    """Parts of a request id; a missing part is empty."""

    session_id: str
    step_id: str = ""
    purpose: str = ""
    """Purpose of the request within its step: track-0, frame-1, move, ..."""
    number: str = ""
    """Number or random text that makes the id unique."""

    @property
    def is_tracking_shot(self) -> bool:
        """True for an exposure that only locates the object."""
        return self.purpose.partition("-")[0] == TRACKING


def make_request_id(name: RequestName) -> str:
    """Return the request id with these parts; an empty number is left out."""
    return "/".join(part for part in name if part)


def split_request_id(request_id: str) -> RequestName:
    """Return the parts of a request id."""
    return RequestName(*request_id.split("/", 3))
