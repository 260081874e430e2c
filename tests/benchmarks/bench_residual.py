"""Time to reach the residual of 100 iterations of ASTRA's SIRT.

The peer runs its 100 iterations in one `run()`; ours uses momentum and as many iterations as reach
the peer's residual. Before that, on a small simulated series aligned by the pipeline, the particles
found in our volume are compared with those in a volume of 100 plain iterations.
"""

from __future__ import annotations

import time

import numpy as np

from processing.align.alignment import apply_alignment
from processing.align.series import align_series, proportional_to_thickness
from processing.count.particles import find_clusters, plateau
from processing.parallel import worker_threads
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.reconstruct.ssr import ssr_volume
from processing.series import Float32, Float64
from simulator.scoring import score_tables
from tests.benchmarks.data import A_DEG, recorded
from tests.benchmarks.row import Row
from tests.support.astra_sirt import astra_sirt
from tests.support.recorded import as_read
from tests.support.spheres import jittered, packed, tilt_series

PLAIN, WITH_MOMENTUM = 100, 26
SIZE, SLICES, PEER_SLICES = 320, 320, 2
DIAMETER_PX, SPACING_PX = 11.0, 13.5
TARGET_RATIO = 1 / 40
SMALL_NM, SMALL_PX, PIXEL_NM, DIAMETER_NM = 80.0, 112, 0.9, 6.3


def run() -> list[Row]:
    """Measure one row.

    Raises
    ------
    AssertionError
        Our residual is larger than the peer's, or our particles are less accurate.
    """
    _require_as_good_particles()
    angles = np.deg2rad(A_DEG)
    images = _slab()
    before = time.perf_counter()
    ours = sirt(Projector(angles, SIZE), images, WITH_MOMENTUM, momentum=True)
    ours_s = (time.perf_counter() - before) / SLICES
    few = np.ascontiguousarray(images[:, SLICES // 2 : SLICES // 2 + PEER_SLICES])
    before = time.perf_counter()
    theirs = astra_sirt(Projector(angles, SIZE), few, PLAIN)
    peer_s = (time.perf_counter() - before) / PEER_SLICES
    same = ours[:, SLICES // 2 : SLICES // 2 + PEER_SLICES]
    projector = Projector(angles, SIZE)
    if _residual(projector, same, few) > _residual(projector, theirs, few):
        raise AssertionError(f"{WITH_MOMENTUM} iterations do not reach ASTRA's {PLAIN}")
    problem = f"to ASTRA's residual, {SIZE}^2 x {len(A_DEG)}, a slice, {worker_threads()} threads"
    return [Row(problem, ours_s, f"ASTRA SIRT, {PLAIN} iterations", peer_s, TARGET_RATIO)]


def _slab() -> Float32:
    """Return noisy images [tilt, y, u] of the middle of an assembly."""
    centres = packed(0.42 * SIZE, SPACING_PX, order="fcc", seed=0)
    centres = centres[np.abs(centres[:, 1]) < SLICES / 2 + DIAMETER_PX]
    noise = jittered(len(A_DEG), jitter_px=0, angle_error_deg=0, counts=1000, seed=0)
    images = tilt_series(centres, A_DEG, DIAMETER_PX, SIZE, noise).images
    return np.ascontiguousarray(images[:, (SIZE - SLICES) // 2 : (SIZE + SLICES) // 2])


def _require_as_good_particles() -> None:
    dual = recorded(SMALL_NM, SMALL_PX, PIXEL_NM)
    series = as_read(dual.a, PIXEL_NM, "A")
    aligned = apply_alignment(proportional_to_thickness(series), align_series(series)).usable()
    projector = Projector(aligned.angles_rad, SMALL_PX)
    tables = {
        "plain": _centres_nm(sirt(projector, aligned.images, PLAIN)),
        "momentum": _centres_nm(sirt(projector, aligned.images, WITH_MOMENTUM, momentum=True)),
    }
    scores = score_tables(dual.truth, tables).tables
    plain, quick = scores["plain"], scores["momentum"]
    print(f"  particles, {PLAIN} plain iterations: F1 {plain.f1:.4f}, rms {plain.rms_nm} nm")
    print(f"  {WITH_MOMENTUM} with momentum: F1 {quick.f1:.4f}, rms {quick.rms_nm} nm")
    if quick.f1 < plain.f1 - 1e-3 or np.max(quick.rms_nm) > np.max(plain.rms_nm) + 0.01:
        raise AssertionError("momentum finds the particles less well than plain iterations")


def _centres_nm(volume: Float32) -> Float64:
    diameter_px = DIAMETER_NM / PIXEL_NM
    clusters = find_clusters(ssr_volume(volume, diameter_px, iterations=20), diameter_px)
    kept = clusters.weight >= plateau(clusters.weight).value
    return np.asarray(clusters.centres_px[kept] * PIXEL_NM, np.float64)


def _residual(projector: Projector, volume: Float32, images: Float32) -> float:
    return float(np.linalg.norm(projector.forward(volume) - images))
