"""Volumes of a session, opened in the coordinates of A."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from controller.common.open_inside import path_inside
from controller.report.report_data import PROCESSED, ReportData
from controller.report.volumes import IDENTITY, Pose, Volume

VolumeName = Literal["A", "B", "fused"]
NAMES: tuple[VolumeName, ...] = ("A", "B", "fused")
Files = Mapping[VolumeName, Sequence[str]]
SIRT_FILES: Files = {
    "A": ("A_sirt.mrc",),
    "B": ("B_registered.mrc", "B_sirt.mrc"),
    "fused": ("fused.mrc",),
}
"""Files of each reconstruction, the best first."""
SSR_FILES: Files = {"A": ("A_ssr.mrc",), "B": ("B_ssr.mrc",), "fused": ("fused_ssr.mrc",)}
IN_OWN_FRAME = ("B_sirt.mrc", "B_ssr.mrc")
"""Files in the coordinates of B."""


@contextmanager
def open_volumes(data: ReportData, files: Files) -> Iterator[dict[VolumeName, Volume]]:
    """Open the volumes that exist and whose pose in A is known."""
    pose = _pose_of_b(data)
    with ExitStack() as stack:
        found: dict[VolumeName, Volume] = {}
        for name in NAMES:
            for file in files[name]:
                in_a = pose if file in IN_OWN_FRAME else IDENTITY
                volume = None if in_a is None else _open(data.folder, f"{PROCESSED}/{file}", in_a)
                if volume is not None:
                    stack.callback(volume.close)
                    found[name] = volume
                    break
        yield found


def _open(folder: Path, inside: str, pose: Pose) -> Volume | None:
    try:
        with path_inside(folder, inside) as path:
            return Volume(path, pose)
    except (OSError, ValueError):
        return None  # missing or incomplete: left out of the report


def _pose_of_b(data: ReportData) -> Pose | None:
    found = data.summary.get("registration")
    if not found:
        return None
    return Pose(np.array(found["matrix"]), np.array(found["shift_nm"]), found.get("scale", 1.0))
