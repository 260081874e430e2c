"""Disk space that a session needs, estimated from its protocol."""

from __future__ import annotations

from pathlib import Path

from controller.model.protocol import Protocol
from controller.session.image_size import size_in_processing

SAMPLE_BYTES = 4
"""Bytes of a pixel or voxel: float32, the widest type that is written."""
VOLUMES = 7
"""Volumes that processing writes: SIRT and sphere fit of A, B and both fused, and registered B."""
SMALL_FILES_BYTES = 8 << 20
"""Space for journal, log, mdoc, previews, tables and report."""


def frame_bytes(protocol: Protocol) -> int:
    """Return the size of one frame on disk, for the widest pixel type."""
    return protocol.scan.width_px * protocol.scan.height_px * SAMPLE_BYTES


def planned_frames(protocol: Protocol) -> int:
    """Return the number of planned frames of both series; none if the session only flips."""
    if protocol.only_flips:
        return 0
    return len(protocol.series_a.tilts_deg) + len(protocol.series_b.tilts_deg)


def processed_bytes(protocol: Protocol) -> int:
    """Return the size of the results: aligned images, and volumes as deep as they are wide."""
    _, factor = size_in_processing(protocol)
    columns, rows = protocol.scan.width_px // factor, protocol.scan.height_px // factor
    return (planned_frames(protocol) + VOLUMES * columns) * columns * rows * SAMPLE_BYTES


def required_bytes(protocol: Protocol, missing_frames: int, processed: Path | None = None) -> float:
    """Return the free space needed for raw data with their margin, results and small files.

    Parameters
    ----------
    missing_frames
        Frames still to be recorded.
    processed
        Folder of results; those of an earlier run are overwritten and need no new space.
    """
    existing_bytes = 0
    if processed is not None:
        existing_bytes = sum(path.stat().st_size for path in processed.iterdir() if path.is_file())
    raw = protocol.limits.free_disk_margin * missing_frames * frame_bytes(protocol)
    return raw + max(0, processed_bytes(protocol) - existing_bytes) + SMALL_FILES_BYTES
