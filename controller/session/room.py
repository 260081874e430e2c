"""How much of the disk a session needs, foreseen from its protocol."""

from __future__ import annotations

from pathlib import Path

from controller.model.protocol import Protocol

SAMPLE_BYTES = 4
"""Of a pixel or voxel: float32, the widest that is written."""
VOLUMES = 7
"""That processing leaves: SIRT and sphere fit of A, of B and of both fused, and B beside A."""
BYTES_BESIDE = 8 << 20
"""Room that journal, log, mdoc, previews, tables and report want."""


def frame_bytes(protocol: Protocol) -> int:
    """Bytes of one frame on disk, with the widest samples a microscope may give."""
    return protocol.scan.width_px * protocol.scan.height_px * SAMPLE_BYTES


def planned_frames(protocol: Protocol) -> int:
    """Frames of both series."""
    return len(protocol.series_a.tilts_deg) + len(protocol.series_b.tilts_deg)


def processed_bytes(protocol: Protocol) -> int:
    """Bytes of what processing writes: aligned images, and volumes as deep as they are wide."""
    images = planned_frames(protocol) + VOLUMES * protocol.scan.width_px
    return images * frame_bytes(protocol)


def wanted_bytes(protocol: Protocol, missing_frames: int, processed: Path | None = None) -> float:
    """Free space wanted: the raw data with their margin, the results, and what lies beside.

    Parameters
    ----------
    missing_frames
        Still to be recorded.
    processed
        Folder of results that may be there already, from an earlier run; they are written over.
    """
    there = 0
    if processed is not None:
        there = sum(path.stat().st_size for path in processed.iterdir() if path.is_file())
    raw = protocol.limits.free_disk_margin * missing_frames * frame_bytes(protocol)
    return raw + max(0, processed_bytes(protocol) - there) + BYTES_BESIDE
