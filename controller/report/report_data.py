"""Data of the report, read from the session's folder; missing files leave their field empty."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.common.bounded_read import read_whole
from controller.common.errors import UsageError
from controller.common.open_inside import LinkRefusedError, open_inside
from controller.model.events import FrameRecorded, Record
from controller.model.protocol import Protocol, read_protocol
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status
from controller.session.event_log import read_events

Json = dict[str, Any]
PROCESSED = "processed"
"""Folder of the volumes and tables."""


@dataclass(frozen=True)
class ReportData:
    """Data of one session, or of one offline run of processing.

    Attributes
    ----------
    protocol
        None if it is missing or cannot be read.
    records
        Records of events.jsonl, in order.
    summary, accuracy, resolution
        Content of summary.json, accuracy.json and resolution.json; empty if missing.
    """

    folder: Path
    protocol: Protocol | None
    records: tuple[Record, ...]
    status: SessionStatus
    summary: Json
    accuracy: Json
    resolution: Json

    @property
    def processed(self) -> Path:
        """Folder of the volumes and tables."""
        return self.folder / PROCESSED

    def tilt_names(self, series: str) -> dict[int, str]:
        """Return the name of the tilt in each recorded section of a series, as ``A#12``."""
        events = (record.event for record in self.records)
        frames = (event.frame for event in events if isinstance(event, FrameRecorded))
        return {frame.section: frame.name for frame in frames if frame.series == series}

    def columns(self, name: str) -> dict[str, list[str]]:
        """Return the columns of a table of the results; empty if it is missing or damaged."""
        try:
            text = _bytes(self.folder, f"{PROCESSED}/{name}").decode()
            head, *rows = csv.reader(text.splitlines())
            return dict(zip(head, map(list, zip(*rows, strict=True)), strict=True))
        except (OSError, ValueError, csv.Error):
            return {}


def read_report_data(folder: Path) -> ReportData:
    """Read all data of a folder that exist.

    Raises
    ------
    UsageError
        The folder is missing or holds nothing to report on.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    records = tuple(read_events(folder / "events.jsonl"))
    protocol = _protocol(folder)
    summary = _json(folder, f"{PROCESSED}/summary.json")
    accuracy = _json(folder, "accuracy.json")
    if protocol is None and not records and not summary:
        raise UsageError(f"{folder}: holds no session and no processed series to report on")
    status = SessionStatus()
    for record in records:
        status = next_status(status, record)
    return ReportData(
        folder=folder,
        protocol=protocol,
        records=records,
        status=status,
        summary=summary,
        accuracy=accuracy,
        resolution=_json(folder, f"{PROCESSED}/resolution.json"),
    )


def _protocol(folder: Path) -> Protocol | None:
    try:
        return read_protocol(folder / "protocol.toml", lambda path: _bytes(folder, path.name))
    except LinkRefusedError:
        raise
    except UsageError:
        return None


def _bytes(folder: Path, inside: str) -> bytes:
    with open_inside(folder, inside) as file:
        return read_whole(file)


def _json(folder: Path, inside: str) -> Json:
    try:
        content = json.loads(_bytes(folder, inside))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and _has_sections(content) else {}


def _has_sections(content: Json) -> bool:
    """Tell whether the sections that the report opens hold records, as processing writes them."""
    sections = [content.get(name) or {} for name in ("counts", "series")]
    return all(isinstance(section, dict) for section in sections) and all(
        isinstance(record, dict | None) for section in sections for record in section.values()
    )
