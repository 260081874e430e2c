"""Summary of a processed series: alignment of each image, and images left out."""

from __future__ import annotations

import numpy as np

from processing.align.alignment import Alignment
from processing.results import ImageAlignment, LeftOut, Sampling, SeriesSummary
from processing.series import Bools, TiltSeries


def left_out_images(
    series: TiltSeries, alignment: Alignment, overlapped: Bools | None
) -> list[LeftOut | None]:
    """Return why each image was left out; None for the images in use.

    Parameters
    ----------
    overlapped
        Images in which another object overlaps, [tilt]; None if there are none.
    """
    numbers = series.tilt_numbers
    in_use = {numbers[section] for section in np.flatnonzero(~alignment.rejected) if numbers}
    reasons: list[LeftOut | None] = []
    for section in range(series.tilts):
        if not alignment.rejected[section]:
            reasons.append(None)
        elif overlapped is not None and overlapped[section]:
            reasons.append(LeftOut.OVERLAPPED)
        elif series.excluded[section]:
            again = bool(numbers) and numbers[section] in in_use
            reasons.append(LeftOut.RETAKEN if again else LeftOut.MARKED)
        else:
            # a lost image has no finite pixel (`repair_pixels`)
            lost = not np.isfinite(series.images[section]).any()
            reasons.append(LeftOut.MISSING if lost else LeftOut.MISFIT)
    return reasons


def summarise_alignment(
    series: TiltSeries, alignment: Alignment, left_out: list[LeftOut | None]
) -> SeriesSummary:
    """Return the summary of a series, in pixels of its images."""
    return SeriesSummary(
        tilts=int((~alignment.rejected).sum()),
        excluded=[int(index) for index in np.flatnonzero(alignment.rejected)],
        align_rms_px=alignment.rms_px,
        tilt_axis_deg=alignment.tilt_axis_deg,
        images=[
            ImageAlignment(shift_px=(dy, dx), residual_px=residual_px, left_out=reason)
            for (dy, dx), residual_px, reason in zip(
                alignment.shifts_px.tolist(),
                alignment.residuals_px.tolist(),
                left_out,
                strict=True,
            )
        ],
        inputs=series.inputs,
    )


def series_warnings(series: TiltSeries, left_out: list[LeftOut | None]) -> list[str]:
    """Return notes and doubts of the input, and one line for each image left out.

    A tilt that was recorded again lacks no image.
    """
    together = left_out.count(LeftOut.OVERLAPPED)
    lines = [
        f"{_image_name(series, section)} at {series.angles_deg[section]:+.1f} degrees "
        f"left out, {reason}"
        for section, reason in enumerate(left_out)
        if reason not in (None, LeftOut.OVERLAPPED, LeftOut.RETAKEN)
    ]
    if together:
        lines.append(
            f"series {series.name}: {together} images left out, as another object "
            "overlaps the one that is counted"
        )
    return [*series.notes, *series.doubts, *lines]


def _image_name(series: TiltSeries, section: int) -> str:
    """Return the name of an image's tilt, ``A#12``, or its place in the stack."""
    if series.tilt_numbers:
        return f"{series.name}#{series.tilt_numbers[section]}"
    return f"series {series.name}: section {section}"


def summary_in_recorded_pixels(summary: SeriesSummary, sampling: Sampling) -> SeriesSummary:
    """Return the summary of cropped and binned images in pixels of the recorded ones."""
    return summary.model_copy(
        update={
            "align_rms_px": summary.align_rms_px * sampling.bin,
            "images": [_in_recorded_pixels(image, sampling) for image in summary.images],
            "sampling": sampling,
        }
    )


def _in_recorded_pixels(image: ImageAlignment, sampling: Sampling) -> ImageAlignment:
    (dy, dx), (y, x) = image.shift_px, sampling.offset_px
    return ImageAlignment(
        shift_px=(dy * sampling.bin + y, dx * sampling.bin + x),
        residual_px=image.residual_px * sampling.bin,
        left_out=image.left_out,
    )
