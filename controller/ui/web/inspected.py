"""Content of the page that `dualtilt inspect --browser` shows, and who makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.model.base import Data


class InspectedImage(Data):
    """One recorded image of a series; unknown values are None."""

    section: int
    """Place in the stack."""
    tilt: int
    """Number of its tilt, as `--drop` counts."""
    name: str
    """Name of the tilt: A#12."""
    angle_deg: float | None = None
    residual_px: float | None = None
    left_out: str = ""
    """Reason why the results do not use it; empty for an image in use."""
    misfit: bool = False
    """True if it fits the other images badly."""
    dropped: bool = False
    """True if the person or the session has left out all images of its tilt."""


class InspectedSeries(Data):
    """One series: facts as text, and its images."""

    name: str
    lines: tuple[str, ...]
    has_images: bool
    """True if the recorded images can be shown."""
    images: tuple[InspectedImage, ...] = ()


class InspectedPage(Data):
    """All that the page shows of one folder of results."""

    name: str
    folder: str
    results: tuple[str, ...]
    """Names of all results: the first ones, then those that were made again."""
    shown: str
    """Name of the results that are shown; empty without any."""
    lines: tuple[str, ...]
    """Counts and verdict as text."""
    series: tuple[InspectedSeries, ...]
    pictures: tuple[str, ...]
    """Names of the pictures."""
    slices_half_width_nm: float | None
    """Largest distance of a slice from the middle; None without volumes."""
    command: tuple[str, ...]
    """Words of the command that processes the series again; `--drop` and its values follow."""
    can_process: bool
    """True if the page may run that command: the results go into the folder of the session."""


class Inspected(Protocol):
    """Maker of the page's content; each method is called on a thread of its own, one at a time.

    A method raises LookupError for what the folder does not hold.
    """

    def page(self, results: str) -> InspectedPage:
        """Return the content; of the first results if there are none of that name."""

    def image(self, series: str, section: int, largest_side_px: int) -> bytes:
        """Return a recorded image as PNG."""

    def picture(self, results: str, name: str) -> bytes:
        """Return a picture as PNG."""

    def slices(self, results: str, off_middle_nm: float) -> bytes:
        """Return x-z slices with particles as PNG."""

    def command(self, drops: Sequence[str]) -> list[str]:
        """Return the command that processes the session again without some tilts.

        Raises
        ------
        UsageError
            A drop is no list of tilts, or there is no session.
        """
