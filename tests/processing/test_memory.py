"""Volumes beyond the memory limit: stored on disk with the same result, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from processing.combine.fuse import fuse
from processing.combine.pose import FLIP, Pose, about_z
from processing.combine.resample import resample
from processing.count.particles import find_clusters
from processing.errors import ProcessingError
from processing.pipeline.memory import DUAL_VOLUMES, SINGLE_VOLUMES, allocator
from processing.reconstruct.sirt import sirt_series
from processing.reconstruct.ssr import ssr_volume
from processing.results import FusionRule
from processing.scratch import Allocate, in_memory, on_disk
from processing.series import Float32
from tests.support.spheres import packed, tilt_series

CUBE = (400, 400, 400)  # 0.256 GB
DIAMETER = 7.0


@pytest.mark.parametrize(
    ("volumes", "limit_GB", "expected"),
    [(SINGLE_VOLUMES, 6.0, in_memory), (SINGLE_VOLUMES, 1.5, on_disk), (DUAL_VOLUMES, 3, on_disk)],
    ids=["fits", "one series exceeds it", "two series exceed it"],
)
def test_volumes_above_the_limit_go_to_disk(
    volumes: int, limit_GB: float, expected: Allocate
) -> None:
    assert allocator(CUBE, volumes, limit_GB) is expected


def test_volumes_too_large_even_on_disk_are_refused() -> None:
    with pytest.raises(ProcessingError, match=r"400 x 400 x 400 .* the limit is 0.4 GB; .*raise"):
        allocator(CUBE, SINGLE_VOLUMES, 0.4)


def test_volumes_on_disk_give_the_same_result() -> None:
    centres = packed(18, 8.6, order="disordered", seed=3)
    series = tilt_series(centres, np.arange(-70.0, 75.0, 4.0), DIAMETER, 56)
    pose = Pose(about_z(37.0) @ FLIP, np.array([1.5, -2.0, 1.0]))

    def volumes(allocate: Allocate) -> list[Float32]:
        volume = sirt_series(series, 10, momentum=True, allocate=allocate)
        moved = resample(volume, pose, (60, 58, 56), 1.0, 1.0, allocate=allocate)
        fused = [
            fuse(moved, 0.8 * moved, rule, allocate=allocate)
            for rule in (FusionRule.MASKED, FusionRule.MEAN)
        ]
        return [
            volume,
            moved,
            *fused,
            ssr_volume(moved, DIAMETER, iterations=10, allocate=allocate),
        ]

    in_ram, in_files = volumes(in_memory), volumes(on_disk)
    for expected, volume in zip(in_ram, in_files, strict=True):
        assert isinstance(volume, np.memmap)
        np.testing.assert_allclose(volume, expected, atol=1e-6 * expected.max())
    np.testing.assert_allclose(
        find_clusters(in_files[-1], DIAMETER).centres_px,
        find_clusters(in_ram[-1], DIAMETER).centres_px,
        atol=1e-3,
    )
