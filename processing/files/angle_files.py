"""Files with the tilt angles of a stack: read those that are given, or stand beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processing.errors import InputFileError
from processing.files.beside import angle_files_beside
from processing.files.image_list import angles_in_order
from processing.files.mdoc import Mdoc, read_mdoc
from processing.files.rawtlt import AngleTable, read_angle_table
from processing.files.said import SaidAngles


@dataclass(frozen=True)
class AngleFile:
    """Content of one angle file."""

    said: SaidAngles
    mdoc: Mdoc | None = None
    notes: tuple[str, ...] = ()
    table: AngleTable | None = None

    def said_of(self, names: Sequence[str]) -> SaidAngles:
        """Return the angles in the order of the images, whose names the file may know."""
        angles = angles_in_order(self.table, names) if self.table and self.table.names else None
        return self.said if angles is None else SaidAngles(self.said.source, angles)

    def first(self, images: int) -> AngleFile:
        """Return what the file says about the first images."""
        said = self.said
        first = SaidAngles(said.source, said.angles_deg[:images], said.excluded[:images])
        mdoc = self.mdoc and replace(
            self.mdoc,
            sections=tuple(each for each in self.mdoc.sections if each.section < images),
        )
        return replace(self, said=first, mdoc=mdoc)


def read_angle_files(path: Path, given: Path | None) -> tuple[list[AngleFile], list[str]]:
    """Read the given angle file first, then those beside the stack; note those that fail.

    Raises
    ------
    InputFileError
        The first file is missing or damaged.
    """
    beside = [file for file in angle_files_beside(path) if file != given]
    names = [given, *beside] if given else beside
    files, notes = [], []
    for file in names:
        try:
            files.append(_read_angle_file(file))
        except InputFileError as error:
            if not files:
                raise
            notes.append(f"not used: {error}")
    return files, notes


def _read_angle_file(file: Path) -> AngleFile:
    if file.suffix.lower() != ".mdoc":
        table = read_angle_table(file)
        notes = tuple(f"{file.name}: {note}" for note in table.notes)
        return AngleFile(SaidAngles(file.name, table.angles_deg), notes=notes, table=table)
    mdoc = read_mdoc(file)
    sections = sorted(mdoc.sections, key=lambda described: described.section)
    angles_deg = np.array([described.tilt_angle_deg for described in sections])
    excluded = np.array([described.excluded for described in sections], bool)
    notes = tuple(f"{file.name}: {note}" for note in mdoc.notes)
    return AngleFile(SaidAngles(file.name, angles_deg, excluded), mdoc, notes)
