"""Print what is understood of the files of tilt series, and what contradicts what."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from processing.files.examine import Examined, ReadingOptions
    from processing.results import SeriesInputs
    from processing.series import TiltSeries

LARGEST_RADIAN = 1.6
"""Largest tilt angle that may be in radians: a little over a quarter turn."""


def print_series(files: list[Path], options: list[ReadingOptions]) -> int:
    """Print each series and its least tilted image; return whether all can be processed.

    Raises
    ------
    UsageError
        A series cannot be processed; the reasons were printed.
    """
    refused = []
    for path, chosen in zip(files, options, strict=True):
        print(path)
        if not print_one_series(path, chosen):
            refused.append(path)
    require_none_refused(refused)
    return ExitCode.OK


def print_one_series(path: Path, options: ReadingOptions) -> bool:
    """Print what is understood of a series; return whether it can be processed."""
    from processing.errors import InputFileError
    from processing.files.examine import examine_series

    try:
        examined = examine_series(path, options)
    except InputFileError as error:
        print(f"  refused     {error}\n")
        return False
    lines = refusals(examined)
    print_indented([*described(examined.inputs), *_maybe_radians(examined.inputs)])
    print_indented([*(f"refused     {line}" for line in lines)])
    _print_picture(examined)
    return not lines


def require_none_refused(refused: list[Path]) -> None:
    """Raise UsageError if a series cannot be processed."""
    if refused:
        raise UsageError(f"{', '.join(map(str, refused))}: cannot be processed; see above")


def print_inputs(series: TiltSeries) -> None:
    """Print what was understood of the files of a series that is processed."""
    if series.inputs is not None:
        print(series.inputs.file)
        print_indented(described(series.inputs))


def print_indented(lines: list[str]) -> None:
    """Print lines that belong to the line above them."""
    for line in lines:
        print(f"  {line}")


def refusals(examined: Examined) -> list[str]:
    """Return every reason why a series cannot be processed."""
    from processing.errors import InputFileError
    from processing.files.examine import tilt_series_of
    from processing.pipeline.check_series import require_tilt_series

    if examined.refusals:
        return list(examined.refusals)
    try:
        require_tilt_series(tilt_series_of(examined, "A"))
    except InputFileError as error:
        return [str(error)]
    return []


def described(inputs: SeriesInputs) -> list[str]:
    """Return what was understood, one line for each fact, oddity and doubt."""
    size = f"{inputs.columns} x {inputs.rows} pixels"
    return [
        f"images      {inputs.images} of {size}, {inputs.sample_type}, {inputs.format}",
        f"pixel       {_pixel(inputs)}",
        f"tilt        {_angles(inputs)}",
        f"tilt axis   {_axis(inputs)}",
        f"tilt sense  {_sense(inputs)}",
        f"dose        {_dose(inputs)}",
        *(f"note        {line}" for line in inputs.notes),
        *(f"doubt       {line}" for line in inputs.doubts),
    ]


def _pixel(inputs: SeriesInputs) -> str:
    if inputs.pixel_nm is None:
        return "unknown"
    if inputs.pixel_assumed:
        return f"unknown, taken as {inputs.pixel_nm:.4g} nm ({inputs.pixel_source})"
    width, height = inputs.columns * inputs.pixel_nm, inputs.rows * inputs.pixel_nm
    return f"{inputs.pixel_nm:.4g} nm ({inputs.pixel_source}); field {width:.4g} x {height:.4g} nm"


def _angles(inputs: SeriesInputs) -> str:
    angles = inputs.angles_deg
    if not angles:
        return "unknown"
    ordered = sorted(angles)
    steps = sorted(high - low for low, high in pairwise(ordered))
    step = f" by {steps[len(steps) // 2]:.4g}" if steps else ""
    return (
        f"{ordered[0]:+.2f} to {ordered[-1]:+.2f} degrees{step}, {inputs.angle_order} "
        f"({inputs.angles_source})"
    )


def _maybe_radians(inputs: SeriesInputs) -> list[str]:
    """Return a line if the angles may be in radians; the images are asked when they are aligned."""
    largest = max(map(abs, inputs.angles_deg or [0.0]))
    if not 0 < largest < LARGEST_RADIAN:
        return []
    return [
        f"note        tilt angles within {largest:.2f} degrees: maybe radians; processing asks the "
        "images, and makes them degrees if these agree"
    ]


def _axis(inputs: SeriesInputs) -> str:
    if inputs.tilt_axis_deg is None:
        return "unknown; the images decide"
    return f"{inputs.tilt_axis_deg:.1f} degrees from +y towards -x ({inputs.tilt_axis_source})"


def _sense(inputs: SeriesInputs) -> str:
    if inputs.tilt_sense > 0:
        return "positive: the angles as they are"
    return "negative: the sign of every angle is reversed"


def _dose(inputs: SeriesInputs) -> str:
    if inputs.dose_e_per_A2 is None:
        return "unknown"
    return f"{inputs.dose_e_per_A2:.4g} electrons per square angstrom in all"


def _print_picture(examined: Examined) -> None:
    from controller.app.cli.block_picture import block_picture, shades_for

    angles = examined.inputs.angles_deg
    if angles:
        section = min(range(len(angles)), key=lambda place: abs(angles[place]))
        print(f"  {_image_name(examined, section)}, at {angles[section]:+.2f} degrees:")
    else:
        section = len(examined.images) // 2
        name = _image_name(examined, section)
        print(f"  {name}, in the middle; its tilt angle is unknown:")
    picture = block_picture(examined.images[section], shades_for(sys.stdout.encoding))
    print_indented([*picture, ""])


def _image_name(examined: Examined, section: int) -> str:
    """Return the name of an image's tilt in a session, else its place in the stack."""
    frame = examined.frames.get(section)
    return f"section {section}" if frame is None else frame.name
