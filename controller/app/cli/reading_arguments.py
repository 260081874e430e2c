"""Arguments of the verbs that read tilt series: `process` and `inspect`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.errors import UsageError
from controller.model.plausible import PIXEL, TILT_AXIS, Within

if TYPE_CHECKING:
    from processing.files.examine import ReadingOptions

AXIS_HELP = (
    "angle of the tilt axis in the images, from +y towards -x, also 90 (default: that of the "
    "files, else found in the images)"
)
PIXEL_HELP = "pixel size (default: that of the file)"
ANGLES_HELP = "angle file; give one per series"
SENSE_HELP = "sign of the tilt angles; the wrong one swaps where the beam enters and leaves"
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the operator can say about the files."""
    add_facts(parser)
    parser.add_argument("--angles", type=Path, action="append", metavar="F", help=ANGLES_HELP)


def add_facts(parser: argparse.ArgumentParser) -> None:
    """Declare what the operator can say about all series alike."""
    add = parser.add_argument
    add("--pixel-nm", type=within(PIXEL), metavar="P", help=PIXEL_HELP)
    add("--tilt-axis-deg", type=within(TILT_AXIS), metavar="T", help=AXIS_HELP)
    add("--tilt-sense", type=int, choices=(1, -1), default=1, help=SENSE_HELP)


def reading_options(args: argparse.Namespace, series: int) -> list[ReadingOptions]:
    """Return the options of each series.

    Raises
    ------
    UsageError
        The number of angle files is not the number of series.
    """
    from processing.files.examine import ReadingOptions

    angles = args.angles or [None] * series
    if len(angles) != series:
        raise UsageError(
            f"--angles: number of files {len(angles)}, number of series {series}; "
            "give one file for each"
        )
    return [
        ReadingOptions(file, args.tilt_axis_deg, args.tilt_sense, args.pixel_nm) for file in angles
    ]


def reading_words(args: argparse.Namespace) -> list[str]:
    """Return the given reading arguments as words of a command."""
    given = (
        ("--pixel-nm", args.pixel_nm),
        ("--tilt-axis-deg", args.tilt_axis_deg),
        ("--tilt-sense", None if args.tilt_sense == 1 else args.tilt_sense),
        *(("--angles", file.absolute()) for file in args.angles or ()),
    )
    return [word for name, value in given if value is not None for word in (name, str(value))]


def number(text: str) -> float:
    """Return a number.

    Raises
    ------
    argparse.ArgumentTypeError
        The text is none.
    """
    try:
        return float(text)
    except ValueError:
        hint = "; write decimals with a point: 1.2" if DECIMAL_COMMA.fullmatch(text) else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not a number{hint}") from None


def within(range_: Within) -> Callable[[str], float]:
    """Return a reader of numbers that refuses those outside a plausible range."""

    def read(text: str) -> float:
        value = number(text)
        if wrong := range_.wrong(value):
            raise argparse.ArgumentTypeError(f"{wrong} (is {text})")
        return value

    return read


def positive(text: str) -> float:
    """Return a positive number.

    Raises
    ------
    argparse.ArgumentTypeError
        The text is not a positive number.
    """
    value = number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def zero_or_more(text: str) -> float:
    """Return a number that is not negative.

    Raises
    ------
    argparse.ArgumentTypeError
        The text is no such number.
    """
    value = number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def at_least_one(text: str) -> int:
    """Return a whole number of 1 or more.

    Raises
    ------
    argparse.ArgumentTypeError
        The text is no such number.
    """
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return value
