"""Telling a flipped grid from one that was only turned, or holds something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from controller.microscope.interface import Remount, ScanSettings
from processing.images.flip import match_flip
from simulator.series import simulate_dual
from simulator.settings import Packing, RemountSettings, SimulatorSettings, SpecimenSettings

PIXEL_NM = 1.2


@dataclass(frozen=True)
class Case:
    name: str
    packing: Packing
    hands: Remount
    in_plane_deg: float
    shown: str
    margin: float = 0.1
    """An ordered assembly is nearly its own mirror image: less can be asked of it."""


CASES = [
    Case("ordered, flipped", Packing.FCC, Remount.FLIPPED, 71.0, "flipped"),
    Case("disordered, flipped", Packing.DISORDERED, Remount.FLIPPED, -128.0, "flipped"),
    Case("grains, flipped", Packing.MULTI_GRAIN, Remount.FLIPPED, 5.0, "flipped"),
    Case("ordered, only turned", Packing.FCC, Remount.TURNED_IN_PLANE, 40.0, "same", 0.0),
    Case("disordered, not touched", Packing.DISORDERED, Remount.NOT_FLIPPED, 0.0, "same"),
    Case("disordered, another one", Packing.DISORDERED, Remount.OTHER_ASSEMBLY, 20.0, "neither"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_images_at_zero_tell_what_was_done(case: Case) -> None:
    a, b = _images(case)
    match = match_flip(a, b, PIXEL_NM)
    scores = {"flipped": match.flipped_score, "same": match.same_score}
    if case.shown == "neither":
        assert max(scores.values()) < 0.35
        return
    other = {"flipped": "same", "same": "flipped"}[case.shown]
    assert scores[case.shown] - scores[other] > case.margin
    if case.shown == "flipped":
        off = (match.in_plane_deg - case.in_plane_deg + 180) % 360 - 180
        assert abs(off) <= 1.5


def _images(case: Case) -> tuple[np.ndarray, np.ndarray]:
    settings = SimulatorSettings(
        seed=11,
        specimen=SpecimenSettings(
            packing=case.packing, assembly_diameter_nm=75.0, other_assemblies_nm=((400.0, 0.0),)
        ),
        remount=RemountSettings(in_plane_deg=case.in_plane_deg),
    )
    scan = ScanSettings(width_px=80, height_px=80, pixel_nm=PIXEL_NM, dwell_us=10.0)
    series = simulate_dual(settings, scan, [-2.0, 0.0, 2.0], [0.0], 70.0, hands=case.hands)
    return series.a.counts.astype(np.float32), series.b.counts[0].astype(np.float32)
