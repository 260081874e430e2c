"""Choose the tilt angles where several sources name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.files.rawtlt import LARGEST_DEG
from processing.files.said import SaidAngles

AGREE_DEG = 1.5
"""Largest difference between planned and measured angles of one image."""
SAME_TILT_DEG = 0.1
"""Largest spread of the angles that a stage reads back while it stands still."""


@dataclass(frozen=True)
class ChosenAngles:
    """The tilt angles in use, or a refusal.

    Attributes
    ----------
    others
        Sources with the same angles in another order; the images can tell which fits.
    """

    said: SaidAngles | None
    others: tuple[SaidAngles, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str | None = None


def tilted(angles_deg: ArrayLike) -> bool:
    """Return true for a single image, and for images at more than one tilt."""
    if np.size(angles_deg) < 2:
        return np.size(angles_deg) == 1
    return bool(np.ptp(angles_deg) > SAME_TILT_DEG)


def choose_angles(said: Sequence[SaidAngles], images: int, stack: str) -> ChosenAngles:
    """Choose the first source that has one angle for each image.

    Parameters
    ----------
    said
        Angles by source, the preferred one first.
    stack
        Name of the stack, for messages.
    """
    if not said:
        return ChosenAngles(
            None,
            refusal=(
                f"no tilt angles: no {stack}.mdoc or .rawtlt beside it and none in the file; "
                "give a file with --angles FILE"
            ),
        )
    fitting = [source for source in said if len(source.angles_deg) == images]
    impossible = {source.source: line for source in fitting if (line := _impossible(source))}
    fitting = [source for source in fitting if source.source not in impossible]
    if impossible and not fitting:
        return ChosenAngles(None, refusal=f"{next(iter(impossible.values()))}; correct it")
    if not fitting:
        return ChosenAngles(
            None,
            refusal=(
                f"{said[0].source}: {len(said[0].angles_deg)} tilt angles for the {images} images "
                f"of {stack}; give one angle for each image"
            ),
        )
    chosen = fitting[0]
    notes = [
        f"{other.source} has {len(other.angles_deg)} tilt angles for {images} images; not used"
        for other in said
        if len(other.angles_deg) != images
    ]
    notes += [f"{line}; its angles are not used" for line in impossible.values()]
    if images > 2 and not tilted(chosen.angles_deg):
        return ChosenAngles(
            None,
            notes=tuple(notes),
            refusal=(
                f"{chosen.source}: all {images} tilt angles are {chosen.angles_deg[0]:.2f} "
                "degrees; give the true ones with --angles FILE"
            ),
        )
    others = []
    for other in fitting[1:]:
        difference = np.abs(other.angles_deg - chosen.angles_deg)
        worst = int(difference.argmax())
        if difference[worst] <= AGREE_DEG:
            continue
        if not _same_set(chosen.angles_deg, other.angles_deg):
            return ChosenAngles(
                None,
                notes=tuple(notes),
                refusal=(
                    f"{chosen.source} and {other.source} disagree: section {worst} at "
                    f"{chosen.angles_deg[worst]:.2f} or {other.angles_deg[worst]:.2f} degrees; "
                    "say which is right with --angles FILE"
                ),
            )
        others.append(other)
        notes.append(f"{other.source} has the tilt angles of {chosen.source} in another order")
    return ChosenAngles(chosen, tuple(others), tuple(notes))


def order_name(angles_deg: NDArray[np.float64]) -> str:
    """Return the name of the order of recording, e.g. dose-symmetric."""
    steps = np.diff(angles_deg)
    if np.all(steps >= 0):
        return "ascending"
    if np.all(steps <= 0):
        return "descending"
    from_start = np.abs(angles_deg - angles_deg[0])
    if np.all(np.diff(from_start) >= -AGREE_DEG):
        return "dose-symmetric"
    turn = int(np.abs(steps).argmax())
    halves = steps[:turn], steps[turn + 1 :]
    if all(np.all(half >= 0) or np.all(half <= 0) for half in halves):
        return "bidirectional"
    return "no regular order"


def _impossible(source: SaidAngles) -> str:
    """Name the first angle that no stage has; empty if there is none."""
    wrong = np.flatnonzero(~(np.abs(source.angles_deg) <= LARGEST_DEG))  # NaN is wrong, too
    if not wrong.size:
        return ""
    angle = source.angles_deg[wrong[0]]
    return f"{source.source}: {angle:g} degrees, in section {wrong[0]}, is not a tilt angle"


def _same_set(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.all(np.abs(np.sort(one) - np.sort(other)) <= AGREE_DEG))
