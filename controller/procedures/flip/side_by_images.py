"""Side of a flipped grid by the images of its targets, where their positions do not tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from controller.model.events import FlipChecked
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.flip.check_flip import SeriesA, check_at_place, series_a_of
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.recorded_frames import read_images, usable_frames

MOST_TARGETS = 3
"""Largest number of targets that are compared: one that is still there decides."""


@dataclass(frozen=True)
class SideByImages:
    """Finding of the target that decides.

    Attributes
    ----------
    name
        The target.
    place_nm
        Stage position (x, y) at which it was compared.
    check
        Its comparison with series A: the flipped object, or the same side up.
    """

    name: str
    place_nm: tuple[float, float]
    check: FlipChecked


def side_by_images(
    context: Context,
    step_id: str,
    places_nm: Mapping[str, Sequence[tuple[float, float]]],
    fits_positions: Callable[[SideByImages], bool],
) -> SideByImages | None:
    """Compare targets with their series A until one tells the side; None if none does.

    Parameters
    ----------
    places_nm
        Stage positions (x, y) at which each target may be, the most likely first.
    fits_positions
        Tells whether the positions of the others fit a target that is flipped. Where they do not,
        it may be another one that looks like it: the search goes on, and without a better one the
        first is returned.
    """
    grid = GridFolder.of_member(context.session.folder.path)
    first: SideByImages | None = None
    for name in islice(_comparable(context, places_nm), MOST_TARGETS):
        series_a = partial(_series_a, grid.target(name), context.protocol)
        for x_nm, y_nm in places_nm[name]:
            context.operator.checkpoint()
            place = StagePosition(x_nm=x_nm, y_nm=y_nm)
            check = check_at_place(context, step_id, place, series_a)
            context.publish(check)
            found = SideByImages(name, (x_nm, y_nm), check)
            if _is_same_side(check, context) or (check.accepted and fits_positions(found)):
                return found
            first = first or (found if check.accepted else None)
    return first


def _comparable(context: Context, names: Mapping[str, object]) -> Iterator[str]:
    """Give the targets that are recorded with the scan of the grid."""
    for name in names:
        if context.protocol.of_target(name).scan == context.protocol.scan:
            yield name


def _series_a(folder: SessionFolder, protocol: Protocol) -> SeriesA:
    frames = usable_frames(folder, "A")
    return series_a_of(frames, read_images(folder, "A", frames), protocol)


def _is_same_side(check: FlipChecked, context: Context) -> bool:
    """Tell whether a comparison certainly shows the same side as series A."""
    flip = context.protocol.flip
    lead = check.same_side_score - check.flipped_score
    return check.same_side_score >= flip.least_score and lead >= flip.margin
