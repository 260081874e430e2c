"""Read everything that is known about one tilt series, and compare the sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.angle_files import AngleFile, read_angle_files
from processing.files.mdoc import Mdoc
from processing.files.mrc import read_facts
from processing.files.pixel_size import MdocPixel, choose_pixel, pixel_of_mdoc
from processing.files.recorded_images import (
    JournaledFrame,
    journaled_frames,
    missing_images,
    require_whole_image,
    unchecked_images,
)
from processing.files.recording import Recording, read_recording
from processing.files.recording_time import recorded_at
from processing.files.said import SaidValue
from processing.files.tilt_angles import ChosenAngles, choose_angles, order_name
from processing.files.tilt_axis import axis_of_log, axis_of_mdoc, choose_axis
from processing.results import SeriesInputs
from processing.series import Float64, TiltSeries

LARGEST_IN_MEMORY_BYTES = 128 << 20
"""Largest size of all images as float32 for which they are converted at once."""


@dataclass(frozen=True)
class ReadingOptions:
    """Facts that the operator gives about a series; None leaves them to the files.

    Attributes
    ----------
    angles
        File with the tilt angles.
    tilt_axis_deg
        In-plane angle of the tilt axis from the image's +y towards -x.
    tilt_sense
        +1 or -1, multiplies the angles.
    """

    angles: Path | None = None
    tilt_axis_deg: float | None = None
    tilt_sense: int = 1
    pixel_nm: float | None = None


@dataclass(frozen=True)
class Examined:
    """Result of reading one series.

    Attributes
    ----------
    inputs
        What was understood, for people and for summary.json.
    images
        [image, y, x], float32, or as the file stores them if they are large.
    angles
        Tilt angles in use, before `tilt_sense`.
    refusals
        One line for each reason why the series cannot be processed.
    recorded_at
        See `TiltSeries`.
    frames
        Frames of a session by section, as its journal describes them; empty for other stacks.
    """

    inputs: SeriesInputs
    images: NDArray[Any]
    angles: ChosenAngles
    refusals: tuple[str, ...]
    recorded_at: Float64 | None = None
    frames: Mapping[int, JournaledFrame] = field(default_factory=dict)

    @property
    def tilt_numbers(self) -> tuple[int, ...]:
        """Numbers of the tilts; empty for images that the journal of their session lacks."""
        sections = range(len(self.images))
        if not self.frames:
            return tuple(section + 1 for section in sections)
        if any(section not in self.frames for section in sections):
            return ()
        return tuple(self.frames[section].tilt_number for section in sections)


def examine_series(path: Path, options: ReadingOptions) -> Examined:
    """Read a stack and the files beside it, and choose angles, pixel size and tilt axis.

    Raises
    ------
    InputFileError
        A file is missing or damaged.
    """
    path = path if path.name else path.absolute()  # the files beside "." have its whole name
    files, file_notes = read_angle_files(path, options.angles)
    frames = journaled_frames(path)
    recording, files = _read(path, files, frames)
    images, rows, columns = recording.images.shape
    said = [*(file.said_of(recording.names) for file in files), *recording.angles_deg]
    # a file that the operator names is right; the others are asked for pixel size and axis only
    angles = choose_angles(said[:1] if options.angles else said, images, path.name)
    mdoc = next((file for file in files if file.mdoc), None)
    in_mdoc = _pixel_of_mdoc(recording, mdoc, (columns, rows))
    pixel = choose_pixel(
        [*in_mdoc.said, *recording.pixels_nm], options.pixel_nm, recording.unknown_pixel
    )
    axis, axis_notes = _axis(path, recording, mdoc, options.tilt_axis_deg)
    notes = [
        *recording.notes,
        *unchecked_images(path, frames, images),
        *(note for file in files for note in file.notes),
        *file_notes,
        *angles.notes,
        *in_mdoc.notes,
        *pixel.notes,
        *axis_notes,
    ]
    inputs = SeriesInputs(
        file=str(path.absolute()),
        format=recording.file_format,
        images=images,
        columns=columns,
        rows=rows,
        sample_type=recording.images.dtype.name,
        pixel_nm=pixel.nm,
        pixel_source=pixel.source,
        pixel_assumed=pixel.assumed,
        angles_deg=angles.said.angles_deg.tolist() if angles.said else None,
        angles_source=angles.said.source if angles.said else "none",
        angle_order=order_name(angles.said.angles_deg) if angles.said else None,
        tilt_axis_deg=axis.value if axis else None,
        tilt_axis_source=axis.source if axis else "none; the images decide",
        tilt_sense=options.tilt_sense,
        dose_e_per_A2=_dose(mdoc.mdoc if mdoc else None),
        notes=notes,
        doubts=[*(in_mdoc.doubts if options.pixel_nm is None else ()), *pixel.doubts],
    )
    refusals = [f"{path}: {line}" for line in (angles.refusal, pixel.refusal) if line]
    at = recorded_at(mdoc.mdoc) if mdoc and mdoc.mdoc else None
    return Examined(
        inputs,
        in_memory_if_small(recording.images),
        angles,
        tuple(refusals),
        at if at is not None and len(at) == images else None,
        frames,
    )


def in_memory_if_small(images: NDArray[Any]) -> NDArray[Any]:
    """Return images as contiguous float32, unless they are large: these stay as they are stored.

    Processing crops and bins large images one by one.
    """
    if 4 * images.size > LARGEST_IN_MEMORY_BYTES:
        return images
    return np.ascontiguousarray(images, np.float32)


def tilt_series_of(examined: Examined, name: str) -> TiltSeries:
    """Return the series, with the tilt axis turned to within 45 degrees of y.

    Raises
    ------
    InputFileError
        The files contradict each other, or angles or the pixel size are missing.
    """
    inputs, said = examined.inputs, examined.angles.said
    if examined.refusals:
        raise InputFileError(examined.refusals[0])
    assert said is not None and inputs.pixel_nm is not None  # else there is a refusal
    axis_deg = inputs.tilt_axis_deg or 0.0
    quarter_turns = round(axis_deg / 90)
    sense = inputs.tilt_sense
    return TiltSeries(
        images=in_memory_if_small(np.rot90(examined.images, quarter_turns, axes=(1, 2))),
        angles_deg=sense * said.angles_deg,
        pixel_nm=inputs.pixel_nm,
        excluded=said.excluded,
        name=name,
        tilt_axis_deg=axis_deg - 90 * quarter_turns,
        notes=_prefixed(name, inputs.notes),
        doubts=_prefixed(name, inputs.doubts),
        inputs=inputs,
        tilt_numbers=examined.tilt_numbers,
        recorded_at=examined.recorded_at,
        other_angles=tuple(
            (other.source, sense * other.angles_deg) for other in examined.angles.others
        ),
    )


def _prefixed(name: str, lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"series {name}: {line}" for line in lines)


def _read(
    path: Path, files: list[AngleFile], frames: Mapping[int, JournaledFrame]
) -> tuple[Recording, list[AngleFile]]:
    """Read the images, and return what the angle files say about them.

    The stack of a session may hold fewer images than were recorded, or one more than its mdoc.
    """
    if not frames:
        return read_recording(path, [len(file.said.angles_deg) for file in files]), files
    require_whole_image(path, frames)
    excluded = next((file.said.excluded for file in files if file.mdoc), np.zeros(0, bool))
    complete = read_facts(path).complete
    here = [file.first(complete) for file in files]
    described = [len(file.said.angles_deg) for file in here]
    recording = read_recording(path, described)
    images = recording.images[: max(described, default=complete)]
    notes = (*recording.notes, *missing_images(path, frames, len(images), excluded))
    return replace(recording, images=images, notes=notes), here


def _pixel_of_mdoc(
    recording: Recording, file: AngleFile | None, size: tuple[int, int]
) -> MdocPixel:
    if file is None or file.mdoc is None:
        return MdocPixel()
    return pixel_of_mdoc(file.mdoc, file.said.source, size, recording.pixels_nm)


def _axis(
    path: Path, recording: Recording, mdoc: AngleFile | None, given_deg: float | None
) -> tuple[SaidValue | None, list[str]]:
    given = [SaidValue("given", given_deg)] if given_deg is not None else []
    said: Sequence[SaidValue] = [
        *(axis_of_mdoc(mdoc.mdoc, mdoc.said.source) if mdoc and mdoc.mdoc else []),
        *recording.axes_deg,
        *axis_of_log(path),
    ]
    if said and recording.transformed:
        note = f"IMOD has aligned these images; the tilt axis by {said[0].source} is not theirs"
        return choose_axis(given)[0], [note]
    return choose_axis([*given, *said])


def _dose(mdoc: Mdoc | None) -> float | None:
    """Return the total dose of the images, None if an mdoc does not know it."""
    doses = [section.dose_e_per_A2 for section in mdoc.sections] if mdoc else []
    total = sum(dose for dose in doses if dose)
    return total or None
