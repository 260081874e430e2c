"""Raw frames of one series on disk: stack, mdoc and rawtlt, written section by section."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn

from numpy.typing import NDArray

from controller.common.errors import quoted
from controller.model.base import SeriesName
from controller.model.scan import ScanSettings
from controller.session.entries import FrameWritten
from controller.session.errors import JournalDamagedError, StackTakenError
from controller.session.folder import SessionFolder
from controller.session.ledger import Ledger
from controller.session.quarantine import quarantine, quarantine_copy
from processing.errors import InputFileError
from processing.files.atomic import remove_file
from processing.files.mdoc import MdocHeader, MdocSection, write_mdoc
from processing.files.mrc import STORED_AS
from processing.files.mrc_writer import (
    MrcStackWriter,
    StackLayout,
    StoredSection,
    wrong_header,
)
from processing.files.rawtlt import write_rawtlt
from processing.files.tilt_axis import axis_titles

WITHDRAWN = "withdrawn"
"""Verdict in the mdoc for a frame whose tilt was recorded again."""


class SeriesRecorder:
    """Writer of one stack; sections that the journal has not acknowledged are overwritten.

    Parameters
    ----------
    folder
        Folder of the session.
    series
        A or B.
    scan
        Scan settings of every frame.
    voltage_kV
        Acceleration voltage, for the mdoc.
    tilt_axis_deg
        Direction of the tilt axis in the images, for the mdoc; 0 leaves it to the images.
    """

    def __init__(
        self,
        folder: SessionFolder,
        series: SeriesName,
        scan: ScanSettings,
        voltage_kV: float,
        tilt_axis_deg: float,
    ) -> None:
        self._folder = folder
        self._series: SeriesName = series
        self._scan = scan
        self._voltage_kV = voltage_kV
        self._tilt_axis_deg = tilt_axis_deg
        self._writer: MrcStackWriter | None = None

    def append(self, pixels: NDArray[Any], acknowledged: Sequence[FrameWritten]) -> StoredSection:
        """Write one image durably behind the `acknowledged` ones.

        Raises
        ------
        OSError
            Disk full or gone; calling again with the same image is safe.
        StackTakenError
            Another program removed, replaced or shortened the stack.
        """
        try:
            writer = self._open(acknowledged, pixels.dtype.name)
            if not writer.is_in_place:
                self._keep_taken(writer)
            return writer.append(pixels)
        except OSError:
            self.close()  # the state of the stack is unknown: the next call starts from the journal
            raise

    def read(self, section: int, acknowledged: Sequence[FrameWritten]) -> NDArray[Any]:
        """Read an acknowledged image back."""
        return self._open(acknowledged, acknowledged[section].info.dtype).read(section)

    def write_companions(self, frames: Sequence[FrameWritten], ledger: Ledger) -> None:
        """Rewrite mdoc and rawtlt, each in one step.

        Parameters
        ----------
        frames
            All acknowledged frames, in order of section.
        ledger
            State of the session: tells which frames the mdoc marks as excluded, and why.

        Raises
        ------
        OSError
            Disk full or gone; the old files are untouched.
        """
        header = MdocHeader(
            image_file=self._folder.stack(self._series).name,
            image_size=(self._scan.width_px, self._scan.height_px),
            pixel_nm=self._scan.pixel_nm,
            voltage_kV=self._voltage_kV,
            data_mode=STORED_AS[frames[0].info.dtype] if frames else None,
            titles=(
                f"dualtilt: HAADF-STEM tilt series {self._series}",
                *axis_titles(self._tilt_axis_deg),
            ),
        )
        sections = [_mdoc_section(frame, ledger) for frame in frames]
        write_mdoc(self._folder.mdoc(self._series), header, sections)
        write_rawtlt(self._folder.rawtlt(self._series), [f.info.stage.alpha_deg for f in frames])

    def close(self) -> None:
        """Close the stack."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            self._writer = None

    def _keep_taken(self, writer: MrcStackWriter) -> NoReturn:
        """Save the frames of a stack whose file was taken, and end the session.

        Raises
        ------
        StackTakenError
            Always.
        """
        name = self._folder.stack(self._series).name
        kept = quarantine_copy(self._folder, name, writer.copy_to)
        raise StackTakenError(
            f"{writer.path}: was removed or replaced while the session ran; its frames are kept in "
            f"{self._folder.path / kept}: put it back, then: "
            f"dualtilt resume {quoted(self._folder.path)}"
        )

    def _open(self, acknowledged: Sequence[FrameWritten], dtype: str) -> MrcStackWriter:
        if self._writer is not None and self._writer.sections == len(acknowledged):
            return self._writer
        self.close()
        if acknowledged:
            try:
                self._writer, _ = reopen_stack(self._folder, self._series, acknowledged)
            except JournalDamagedError as error:
                raise StackTakenError(str(error)) from None
        else:
            path = self._folder.stack(self._series)
            remove_file(path)  # nothing in it was ever acknowledged
            self._writer = MrcStackWriter.create(path, _layout(self._scan, dtype))
        return self._writer


def reopen_stack(
    folder: SessionFolder, series: SeriesName, acknowledged: Sequence[FrameWritten]
) -> tuple[MrcStackWriter, list[str]]:
    """Continue a stack behind its acknowledged frames, whatever its header says.

    A header that contradicts the journal is written again; a copy of it is kept.

    Returns
    -------
    MrcStackWriter, list of str
        The open stack, and the repairs made, one line each.

    Raises
    ------
    JournalDamagedError
        The stack is missing or shorter than the journal, or its frames do not follow each other;
        it is not changed.
    """
    path, info = folder.stack(series), acknowledged[0].info
    layout = _layout(info.scan, info.dtype)
    for section, frame in enumerate(acknowledged):
        if (frame.section, frame.offset) != (section, layout.offset_bytes(section)):
            raise JournalDamagedError(
                f"{folder.journal}: {frame.name} is not section {section} of {path.name}; "
                "restore it from a copy, or: "
                f"dualtilt resume {quoted(folder.path)} --rebuild-journal"
            )
    found = wrong_header(path, layout) if path.exists() else None
    repairs = []
    if found is not None:
        kept = quarantine(folder, f"{series}-header", found)
        repairs.append(
            f"{path.name}: its header contradicted the journal and was written again (kept in "
            f"{kept})"
        )
    try:
        return MrcStackWriter.reopen(path, layout, len(acknowledged)), repairs
    except InputFileError as error:
        raise JournalDamagedError(str(error)) from None


def _layout(scan: ScanSettings, dtype: str) -> StackLayout:
    return StackLayout((scan.height_px, scan.width_px), dtype, scan.pixel_nm)


def _mdoc_section(frame: FrameWritten, ledger: Ledger) -> MdocSection:
    info = frame.info
    withdrawn = (frame.series, frame.section) in ledger.withdrawn
    taken = datetime.fromisoformat(frame.recorded_at)
    return MdocSection(
        section=frame.section,
        tilt_angle_deg=info.stage.alpha_deg,
        stage_x_um=info.stage.x_nm / 1000,
        stage_y_um=info.stage.y_nm / 1000,
        stage_z_um=info.stage.z_nm / 1000,
        pixel_nm=info.scan.pixel_nm,
        dose_e_per_A2=info.dose_e_per_A2,
        exposure_time_s=info.scan.exposure_s,
        date_time=f"{taken:%d-%b-%y  %H:%M:%S}",
        probe_current_pA=info.current_pA,
        excluded=ledger.unusable(frame),
        extra=MappingProxyType(
            {
                "PriorRecordDose": f"{frame.dose_before_e_per_A2:.7g}",
                "ChannelName": "HAADF",
                "Verdict": WITHDRAWN if withdrawn else frame.verdict.value,
            }
        ),
    )
