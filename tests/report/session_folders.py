"""Folders of sessions in the states that a session can leave, and their reports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from controller.app.profiles import config_folder
from controller.model.events import Event
from controller.report.write import write_report
from processing.files.mrc import write_volume
from processing.files.particles import ParticleTable, write_csv
from tests.report.session_events import FINISHED, FLIPPED, STARTED, WARNED, recorded, write_events

SIDE, PIXEL_NM = 40, 2.0


COUNT = {"n": 2878, "n_low": 2850, "n_high": 2920}
SUMMARY: dict[str, Any] = {
    "counts": {"A": COUNT | {"n": 2700}, "B": COUNT | {"n": 2611}, "fused": COUNT},
    "diameter_nm": {"value": 6.27, "source": "estimated", "from_pair_distance": 7.5},
    "series": {
        "A": {"tilts": 25, "excluded": [3], "align_rms_px": 0.11, "tilt_axis_deg": 0.4},
        "B": {"tilts": 25, "excluded": [], "align_rms_px": 0.12, "tilt_axis_deg": -0.2},
    },
    "registration": {
        "matrix": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
        "shift_nm": [1.0, -2.0, 0.5],
        "score": 0.93,
        "runner_up": 0.4,
        "in_plane_deg": 71.3,
        "seat_tilt_deg": 1.5,
        "scale": 1.002,
        "rms_nm": 0.31,
    },
    "fusion": {"rule": "masked", "wavelet": "haar", "level": 3},
    "warnings": ["series A: image 3 left out"],
}


A_ONLY = SUMMARY | {"counts": {"A": COUNT}, "registration": None, "fusion": None}


def ball(radius_nm: float = 28.0) -> np.ndarray:
    along = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL_NM
    z, y, x = np.meshgrid(along, along, along, indexing="ij")
    volume = (np.sqrt(x**2 + y**2 + z**2) < radius_nm).astype(np.float32)
    return volume * (1 + 0.2 * np.random.default_rng(1).random(volume.shape, np.float32))


def volumes(folder: Path, *names: str) -> None:
    processed = folder / "processed"
    processed.mkdir(exist_ok=True)
    for name in names:
        write_volume(processed / f"{name}.mrc", ball(), PIXEL_NM)
    centres = np.random.default_rng(2).uniform(-26, 26, (50, 3))
    write_csv(processed / "particles_A.csv", ParticleTable(centres, np.full(50, 6.3), np.ones(50)))


ALL = ("A_sirt", "A_ssr", "B_ssr", "B_registered", "fused", "fused_ssr")
WHOLE: list[Event] = [*STARTED, *recorded("A"), *WARNED, *FLIPPED, *recorded("B"), *FINISHED]


@dataclass(frozen=True)
class Case:
    name: str
    events: list[Event] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    protocol: bool = True
    spoil: Callable[[Path], object] = lambda folder: None
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def make(case: Case, folder: Path) -> Path:
    if case.protocol:
        (folder / "protocol.toml").write_text((config_folder() / "paper.toml").read_text())
    if case.events:
        write_events(folder, case.events)
    if case.volumes:
        volumes(folder, *case.volumes)
    if case.summary:
        (folder / "processed").mkdir(exist_ok=True)
        (folder / "processed" / "summary.json").write_text(json.dumps(case.summary))
    case.spoil(folder)
    return folder


def page_of(folder: Path) -> str:
    """Return the report without its scripts, with no-break spaces as plain spaces."""
    page = write_report(folder).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    return re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
