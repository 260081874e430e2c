"""Check of tilt axis and tilt angles against the images, before a series is aligned.

What the images contradict is corrected with a note and a doubt, or refused. Where the images do not
decide, the given values stay. The sense of the tilt cannot be seen in one series: reversed angles
give the mirror image of the specimen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processing.align.alignment import apply_alignment, fill_non_finite, unaligned
from processing.align.angle_order import (
    DECISIVE_MOMENT_RATIO,
    LARGEST_MOMENT_RATIO,
    AngleEvidence,
    Indices,
    OrderedAngles,
    angle_evidence,
    better_order,
    has_other_order,
)
from processing.align.axis_search import AxisSearch, search_half_turn
from processing.align.coarse import centres_of_mass, cut_off
from processing.align.matching import reduced, scaled
from processing.errors import ProcessingError
from processing.images.health import bad_images
from processing.images.intensity import without_background
from processing.series import Float64, TiltSeries

SIDE_PX = 128
"""Largest side of the binned images in which the tilt axis is searched."""
ORDER_SIDE_PX = 64
"""Largest side of the binned images whose angles are checked."""
MOST_IMAGES = 48
"""Most images in the search for the tilt axis, evenly chosen."""
FEWEST_IMAGES = 8
"""Fewest images for a check of the angles."""
FEWEST_FOR_AXIS = 4
CUT_OFF_SHARE = 0.8
"""Largest fraction of images with a cut-off object in which angles are checked."""
LARGEST_MASS_SPREAD = 0.15
"""Largest standard deviation of the images' mass over its mean at which angles are checked. A
neighbour that enters and leaves the field gives over 0.2, a dim series 0.09."""
LARGEST_RADIAN = 1.6
"""Largest angle that may be in radians: a little over a quarter turn."""
RADIAN = float(np.rad2deg(1))
SCALES = (1 / 3, 0.5, 0.67, 1.5, 2.0, 3.0, 5.0, RADIAN)
"""Factors by which angles may be wrong."""
LEAST_MISFIT = 0.04
"""Misfit of the row moments beyond which another scale need not fit decisively better. Saturation
and blur alone leave 1 to 3 %, of which other scales explain a part."""
STRAIGHT = 0.01
"""Factor that makes angles so small that the row moments move in a straight line. Where that fits
nearly as well as the best factor, the moments drift for another reason: in an assembly of 165 nm by
the blur of its exit side."""
LARGEST_RANGE_DEG = 185.0


def check_geometry(series: TiltSeries) -> TiltSeries:
    """Return the series with the tilt axis and the angles that its images support.

    The same object is returned if nothing changes.

    Raises
    ------
    ProcessingError
        The images contradict the angles, and it is not known which angles are right.
    """
    overview = _overview(series, SIDE_PX)
    if (~overview.excluded).sum() < FEWEST_FOR_AXIS:
        return series
    chosen = _evenly(np.flatnonzero(~overview.excluded), MOST_IMAGES)
    search = search_half_turn(overview.images[chosen], series.tilt_axis_deg)
    if search.contradicts_given and search.is_decided:
        series, overview = _with_axis(series, search), _turned(overview, search.best_deg)
    elif search.contradicts_given:
        series = _with_doubt(
            series,
            f"the images agree badly along the tilt axis ({search.near_given:.0%} differs) and do "
            f"not decide on another one: axes {search.best_deg - search.given_deg:+.0f} and "
            f"{search.runner_up_deg - search.given_deg:+.0f} degrees away fit better and alike; "
            "leave out bad images, or give the axis with --tilt-axis-deg",
        )
    return _with_checked_angles(series, overview)


def _overview(series: TiltSeries, side_px: int) -> TiltSeries:
    """Return binned images without background; bad ones are marked excluded."""
    binning = max(1, -(-max(series.images.shape[1:]) // side_px))
    rows, columns = (n // binning for n in series.images.shape[1:])
    # image by image: a cut stack of large images would be copied as a whole
    images = np.stack(
        [
            image[: rows * binning, : columns * binning]
            .reshape(rows, binning, columns, binning)
            .mean(axis=(1, 3), dtype=np.float32)
            for image in series.images
        ]
    )
    binned = replace(series, images=images, pixel_nm=series.pixel_nm * binning)
    excluded = binned.excluded.copy()
    excluded[list(bad_images(binned))] = True
    clean = replace(binned, images=fill_non_finite(binned.images), excluded=excluded)
    return without_background(clean)


def _evenly(indices: Indices, most: int) -> Indices:
    """Choose at most `most` of the indices, evenly."""
    chosen = np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(np.intp)
    return np.asarray(indices[chosen], np.intp)


def _with_axis(series: TiltSeries, search: AxisSearch) -> TiltSeries:
    """Turn the images to the axis found, and say so."""
    given, best, next_best = search.given_deg, search.best_deg, search.runner_up_deg
    said = series.inputs is None or series.inputs.tilt_axis_deg is not None
    note = (
        f"series {series.name}: the tilt axis lies {best - given:+.0f} degrees from "
        f"{'the given one' if said else 'the y axis of the images'}, and the images were turned to "
        f"it: along it they differ by {search.best:.1%}, along the former by "
        f"{search.near_given:.1%}, along the next best (at {next_best - given:+.0f} degrees) by "
        f"{search.runner_up:.1%}; its direction, up or down, stays unknown"
    )
    doubts = series.doubts
    if not search.is_unique:
        doubts = (
            *doubts,
            f"series {series.name}: the tilt axis is ambiguous: an axis "
            f"{search.runner_up_deg - search.best_deg:+.0f} degrees away fits nearly as well; "
            "give it with --tilt-axis-deg",
        )
    inputs = series.inputs and series.inputs.model_copy(
        update={
            "tilt_axis_deg": (series.inputs.tilt_axis_deg or 0.0) + best - given,
            "tilt_axis_source": "the images",
        }
    )
    return replace(
        _turned(series, best),
        notes=(*series.notes, note),
        doubts=doubts,
        inputs=inputs,
        sense_known=False,
    )


def _turned(series: TiltSeries, axis_deg: float) -> TiltSeries:
    """Turn the images by the quarter turns of an axis, exactly; the rest stays for alignment."""
    quarter_turns = round(axis_deg / 90)
    images = np.ascontiguousarray(np.rot90(series.images, quarter_turns, axes=(1, 2)))
    return replace(
        series,
        images=images,
        tilt_axis_deg=axis_deg - 90 * quarter_turns,
        quarter_turns=series.quarter_turns + quarter_turns,
    )


def _with_checked_angles(series: TiltSeries, overview: TiltSeries) -> TiltSeries:
    """Check order and scale of the angles; `overview` has the images of the series, binned."""
    used = np.flatnonzero(~overview.excluded)
    images = overview.images[used]
    if len(used) < FEWEST_IMAGES or cut_off(images).mean() > CUT_OFF_SHARE:
        return series
    mass = images.sum(axis=(1, 2), dtype=np.float64)
    if mass.std() > LARGEST_MASS_SPREAD * abs(mass.mean()):
        return series
    factor = max(1.0, max(overview.images.shape[1:]) / ORDER_SIDE_PX)
    centred = replace(unaligned(overview), shifts_px=centres_of_mass(overview.images))
    small = apply_alignment(reduced(overview, factor), scaled(centred, 1 / factor))
    evidence = angle_evidence(small.images[used], used)
    order = better_order(evidence, series.angles_deg, series.other_angles)
    if order is not None:
        return _reordered(series, order, evidence.places(series.angles_deg))
    if has_other_order(evidence, series.angles_deg):
        raise ProcessingError(
            f"series {series.name}: the images contradict the tilt angles: images that resemble "
            f"each other most are {evidence.places(series.angles_deg):.1f} places apart in the "
            "order of the angles, and no usual order of these angles fits; give the angle of each "
            "image, in the order of the stack, with --angles FILE"
        )
    return _with_checked_scale(series, evidence)


def _reordered(series: TiltSeries, order: OrderedAngles, given_places: float) -> TiltSeries:
    note = (
        f"series {series.name}: the tilt angles do not belong to the images in the given order; "
        f"the images fit the order {order.name}, which was taken: images that resemble each "
        f"other most are {order.places:.1f} places apart in it, {given_places:.1f} as given"
    )
    doubt = (
        f"series {series.name}: the tilt angles were not in the order of the images; corrected to "
        f"the order {order.name}"
    )
    source = order.name if order.is_said else f"the images ({order.name})"
    inputs = series.inputs and series.inputs.model_copy(
        update={
            "angles_deg": (series.inputs.tilt_sense * order.angles_deg).tolist(),
            "angles_source": source,
        }
    )
    return replace(
        series,
        angles_deg=order.angles_deg,
        notes=(*series.notes, note),
        doubts=(*series.doubts, doubt),
        angle_reasons=(*series.angle_reasons, doubt),
        inputs=inputs,
        sense_known=series.sense_known and order.is_said,
    )


def _with_checked_scale(series: TiltSeries, evidence: AngleEvidence) -> TiltSeries:
    """Check that the angles are degrees: neither radians nor section numbers, nor scaled."""
    angles = series.angles_deg
    middle = (angles.min() + angles.max()) / 2
    scales = [scale for scale in SCALES if scale * np.ptp(angles) <= LARGEST_RANGE_DEG]
    if not scales:
        return _with_doubt(series, f"tilt angles over {np.ptp(angles):.0f} degrees: check them")
    misfits = [evidence.moment_misfit(scale * (angles - middle)) for scale in scales]
    given = evidence.moment_misfit(angles)
    best = scales[int(np.argmin(misfits))]
    straight = evidence.moment_misfit(STRAIGHT * (angles - middle))
    ratio = LARGEST_MOMENT_RATIO if given > LEAST_MISFIT else DECISIVE_MOMENT_RATIO
    contradicted = min(misfits) < ratio * given
    largest = float(np.abs(angles).max())
    if largest < LARGEST_RADIAN:
        if contradicted and best == RADIAN:
            return _as_radians(series)
        return _with_doubt(
            series, f"tilt angles within {largest:.2f} degrees: check that they are not radians"
        )
    if _is_index(angles):
        first = f"tilt angles {angles[0]:g}, {angles[1]:g}, {angles[2]:g} ..."
        if contradicted:
            raise ProcessingError(
                f"series {series.name}: {first} are section numbers, as the images fit steps of "
                f"about {best:.0f} degrees; give the angle of each image with --angles FILE"
            )
        if given > LARGEST_MOMENT_RATIO * min(misfits):
            return _with_doubt(series, f"{first}: check that they are not section numbers")
        return series
    if min(misfits) < LARGEST_MOMENT_RATIO * min(given, straight):
        text = f"the images fit tilt angles about {best:.2g} times as large; check them"
        said = f"series {series.name}: {text}"
        suspected = replace(series, angle_reasons=(*series.angle_reasons, said))
        return _with_doubt(suspected, text) if contradicted else suspected
    return series


def _as_radians(series: TiltSeries) -> TiltSeries:
    note = (
        f"series {series.name}: the tilt angles lie within {np.abs(series.angles_deg).max():.2f}; "
        "the images say that they are radians, and they were converted to degrees"
    )
    converted = replace(series, angles_deg=np.rad2deg(series.angles_deg))
    doubted = _with_doubt(converted, "tilt angles were taken as radians")
    return replace(doubted, notes=(*series.notes, note))


def _is_index(angles_deg: Float64) -> bool:
    """Return true for the angles 0, 1, 2 ... or 1, 2, 3 ..."""
    return bool(angles_deg[0] in (0, 1) and (np.diff(angles_deg) == 1).all())


def _with_doubt(series: TiltSeries, doubt: str) -> TiltSeries:
    return replace(series, doubts=(*series.doubts, f"series {series.name}: {doubt}"))
