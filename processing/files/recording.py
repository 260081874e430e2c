"""Images of a tilt series as their file holds them, with what the file says about them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files import foreign
from processing.files.compressed import open_plain, plain_name
from processing.files.image_list import find_images, is_image_list
from processing.files.mrc import MrcFacts, cut_off, read_facts, read_images
from processing.files.mrc_header import DEFAULT_PIXEL_NM, HEADER_BYTES, is_mrc
from processing.files.said import SaidAngles, SaidValue
from processing.files.tilt_angles import tilted
from processing.files.tilt_axis import axis_of_titles

TRANSFORMED = "transformed"
"""Word in the label that IMOD's newstack writes when it aligns images, which turns them."""


@dataclass(frozen=True)
class Recording:
    """Images and what their own file says about them.

    Attributes
    ----------
    images
        [image, y, x] in the stored sample type.
    file_format
        Name of the format, for people.
    pixels_nm, axes_deg, angles_deg
        Pixel sizes, tilt axes and tilt angles with their sources, the more trustworthy first.
    unknown_pixel
        True if the header holds the 1 angstrom that stands for an unknown pixel size.
    transformed
        True if IMOD aligned the images: an axis that was noted before is not theirs.
    notes
        One line for each oddity.
    names
        File of each image, where each has its own.
    """

    images: NDArray[Any]
    file_format: str
    pixels_nm: tuple[SaidValue, ...] = ()
    axes_deg: tuple[SaidValue, ...] = ()
    angles_deg: tuple[SaidAngles, ...] = ()
    unknown_pixel: bool = False
    transformed: bool = False
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_recording(path: Path, angle_counts: Collection[int] = ()) -> Recording:
    """Read a stack of any format.

    Parameters
    ----------
    angle_counts
        Numbers of tilt angles in the files beside the stack. They decide how many images count
        where the header of an MRC file disagrees with its length.

    Raises
    ------
    InputFileError
        The file is missing, damaged or of an unknown format.
    """
    if is_image_list(path):
        return _single_images(path)
    if path.is_file() and not path.stat().st_size:
        raise InputFileError(f"{path}: is empty; copy or record it again")
    if foreign.is_foreign(path) and not _begins_as_mrc(path):
        return _foreign(path)
    return _mrc(path, angle_counts)


def _single_images(path: Path) -> Recording:
    """Read one image from each file of a folder or list, which must all be alike.

    Raises
    ------
    InputFileError
        A file holds several images, or another size or pixel size than the first.
    """
    listed = find_images(path)
    parts: list[Recording] = []
    for file in listed.files:
        part = read_recording(file)
        if len(part.images) != 1:
            raise InputFileError(
                f"{path}: {file.name} in it holds {len(part.images)} images; "
                "give a stack, or a folder of single images"
            )
        first = parts[0] if parts else part
        if part.images.shape != first.images.shape:
            raise InputFileError(
                f"{path}: {file.name} has another size than {listed.files[0].name}; "
                "give images of one size"
            )
        if [round(said.value, 4) for said in part.pixels_nm] != [
            round(said.value, 4) for said in first.pixels_nm
        ]:
            raise InputFileError(
                f"{path}: {file.name} has another pixel size than {listed.files[0].name}; "
                "give images of one magnification"
            )
        parts.append(part)
    first = parts[0]
    angles = [] if listed.angles_deg is None else [SaidAngles(listed.source, listed.angles_deg)]
    own = [value for part in parts for said in part.angles_deg for value in said.angles_deg]
    if len(own) == len(parts) and tilted(own):
        angles.append(SaidAngles("the images' own files", np.array(own)))
    return Recording(
        images=np.concatenate([part.images for part in parts]),
        file_format=f"{len(parts)} files, {first.file_format}",
        pixels_nm=first.pixels_nm,
        axes_deg=first.axes_deg,
        angles_deg=tuple(angles),
        unknown_pixel=first.unknown_pixel,
        notes=first.notes,
        names=tuple(file.name for file in listed.files),
    )


def _begins_as_mrc(path: Path) -> bool:
    if path.is_dir():
        return False
    with open_plain(path) as file:
        head = file.read(HEADER_BYTES)
    return head[208:211] == b"MAP" and is_mrc(head)


def _foreign(path: Path) -> Recording:
    stack = foreign.read_foreign(path)
    name = plain_name(path).name
    pixels = () if stack.pixel_nm is None else (SaidValue(name, stack.pixel_nm),)
    angles = () if stack.angles_deg is None else (SaidAngles(name, stack.angles_deg),)
    return Recording(
        images=stack.images,
        file_format=foreign.format_name(path),
        pixels_nm=pixels,
        angles_deg=angles,
        notes=stack.notes,
    )


def _mrc(path: Path, angle_counts: Collection[int]) -> Recording:
    facts = read_facts(path)
    header, extended = facts.header, facts.extended
    images, sample_notes = read_images(path, header, _sections_to_read(facts, angle_counts))
    notes = [*header.notes, *sample_notes, *_count_notes(path, facts, len(images), angle_counts)]
    name = plain_name(path).name
    extended_name = f"the {extended.kind} extended header of {name}"
    unknown = header.pixel_nm is not None and abs(header.pixel_nm / DEFAULT_PIXEL_NM - 1) < 1e-4
    pixels = []
    if extended.pixel_nm is not None:
        pixels.append(SaidValue(extended_name, extended.pixel_nm))
    if header.pixel_nm is not None and not unknown:
        pixels.append(SaidValue(f"the header of {name}", header.pixel_nm))
    axes = [SaidValue(f"the header of {name}", axis) for axis in axis_of_titles(header.titles)]
    if extended.tilt_axis_deg is not None:
        axes.append(SaidValue(extended_name, extended.tilt_axis_deg))
    angles = []
    if extended.angles_deg is not None and tilted(extended.angles_deg):
        angles.append(SaidAngles(extended_name, extended.angles_deg[: len(images)]))
    return Recording(
        images=images,
        file_format=f"MRC mode {header.mode}",
        pixels_nm=tuple(pixels),
        axes_deg=tuple(axes),
        angles_deg=tuple(angles),
        unknown_pixel=unknown,
        transformed=any(TRANSFORMED in title.lower() for title in header.titles),
        notes=tuple(notes),
    )


def _sections_to_read(facts: MrcFacts, angle_counts: Collection[int]) -> int:
    """Return the header's number, or that of the file's whole images if the angles confirm it."""
    expected = facts.header.sections
    if expected not in angle_counts and facts.complete in angle_counts:
        return facts.complete
    return min(expected, facts.complete)


def _count_notes(
    path: Path, facts: MrcFacts, read: int, angle_counts: Collection[int]
) -> list[str]:
    """Say where header and file disagree.

    Raises
    ------
    InputFileError
        The file was cut off: an angle was recorded for each image that the header names.
    """
    expected = facts.header.sections
    if read == 0 or (read < expected and expected in angle_counts):
        raise InputFileError(f"{path}: {cut_off(read, expected)}")
    if read != expected:
        return [f"the header says {expected} images, the file holds {read}; these are used"]
    if facts.complete > expected:
        return [f"the file is longer than the {expected} images in its header; the rest is ignored"]
    return []
