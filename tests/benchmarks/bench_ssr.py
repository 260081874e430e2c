"""Sparse sphere reconstruction at 208^3 x 73 tilts, from the images and from a volume.

From images, the peer is the same descent with ASTRA's own CPU projector, `linear`, with as many
threads as ours; its time is extrapolated from a few iterations. From a volume, the peer is the same
descent written plainly with `scipy.fft.rfftn`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import astra
import numpy as np
from scipy import fft

from processing.parallel import worker_threads
from processing.reconstruct.convolution import ball_form_factor
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.reconstruct.ssr import ssr_images, ssr_volume
from processing.series import Float32
from tests.benchmarks.data import A_DEG
from tests.benchmarks.row import Row
from tests.support.spheres import packed, tilt_series

SIZE, ITERATIONS, PEER_ITERATIONS = 208, 40, 1
DIAMETER_PX, SPACING_PX = 7.0, 8.6
SPARSITY = 0.05
LIMIT_S = 60.0
AGREEMENT = 1e-3


def run() -> list[Row]:
    """Measure one row from images and one from a volume.

    Raises
    ------
    AssertionError
        The results differ.
    """
    series = tilt_series(packed(90, SPACING_PX, order="fcc", seed=0), A_DEG, DIAMETER_PX, SIZE)
    return [_from_images(series.images), _from_volume(series.images)]


def _from_images(images: Float32) -> Row:
    angles = np.deg2rad(A_DEG)
    ours_s, _ = _timed(
        lambda: ssr_images(Projector(angles, SIZE), images, DIAMETER_PX, iterations=ITERATIONS)
    )
    few = ssr_images(Projector(angles, SIZE), images, DIAMETER_PX, iterations=PEER_ITERATIONS)
    peer_s, theirs = _timed(
        lambda: ssr_images(
            AstraProjector(angles, SIZE), images, DIAMETER_PX, iterations=PEER_ITERATIONS
        )
    )
    _require_equal(few, theirs)
    peer_s *= ITERATIONS / PEER_ITERATIONS
    problem = f"SSR of images {SIZE}^3 x {len(A_DEG)}, {ITERATIONS} iterations"
    return Row(problem, ours_s, "with ASTRA's projector", peer_s, 0.2, LIMIT_S, "s")


def _from_volume(images: Float32) -> Row:
    volume = sirt(Projector(np.deg2rad(A_DEG), SIZE), images, 10, momentum=True)
    peer_s, theirs = _timed(lambda: _plain_descent(volume))
    ours_s, ours = _timed(
        lambda: ssr_volume(volume, DIAMETER_PX, iterations=ITERATIONS, sparsity=SPARSITY)
    )
    _require_equal(ours, theirs)
    problem = f"SSR of a volume {SIZE}^3, {ITERATIONS} iterations"
    return Row(problem, ours_s, "scipy's rfftn", peer_s, 1.0, LIMIT_S, "s")


class AstraProjector(Projector):
    """Projector that uses ASTRA's own CPU projector, slice by slice."""

    def forward(self, volume: Float32) -> Float32:
        images = np.empty((len(self.angles_rad), volume.shape[1], self.columns), np.float32)

        def project(row: int) -> None:
            images[:, row] = self._run("FP", "-sino", volume[:, row])

        _over(project, volume.shape[1])
        return images

    def backward(self, images: Float32) -> Float32:
        volume = np.empty((self.depth, images.shape[1], self.columns), np.float32)

        def back_project(row: int) -> None:
            volume[:, row] = self._run("BP", "-vol", images[:, row])

        _over(back_project, images.shape[1])
        return volume

    def _run(self, algorithm_name: str, to: str, source: Float32) -> Float32:
        volume = astra.create_vol_geom(self.depth, self.columns)
        rays = astra.create_proj_geom("parallel", 1.0, self.columns, -self.angles_rad)
        projector = astra.create_projector("linear", rays, volume)
        given = np.ascontiguousarray(source, np.float32)
        forward = to == "-sino"
        values = astra.data2d.create("-vol", volume, given if forward else 0)
        sinogram = astra.data2d.create("-sino", rays, 0 if forward else given)
        options = {"type": algorithm_name, "ProjectorId": projector, "ProjectionDataId": sinogram}
        options["VolumeDataId" if forward else "ReconstructionDataId"] = values
        algorithm = astra.algorithm.create(options)
        try:
            astra.algorithm.run(algorithm)
            return np.asarray(astra.data2d.get(sinogram if forward else values), np.float32)
        finally:
            astra.algorithm.delete(algorithm)
            astra.data2d.delete([values, sinogram])
            astra.projector.delete(projector)


def _plain_descent(volume: Float32) -> Float32:
    """Run plain FISTA with whole-volume transforms."""
    shape = tuple(fft.next_fast_len(n + 8, real=True) for n in volume.shape)
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    factor = ball_form_factor(2 * np.pi * np.sqrt(sum(g * g for g in grids)), DIAMETER_PX)
    window = tuple(slice(n) for n in volume.shape)
    threads = worker_threads()

    def convolved(values: Float32, kernel: Float32) -> Float32:
        spectrum = fft.rfftn(values, shape, workers=threads) * kernel
        full: Float32 = fft.irfftn(spectrum, shape, workers=threads)
        return full[window]

    target = convolved(volume, factor)
    penalty = np.float32(SPARSITY * target.max())
    power = factor**2
    centres = ahead = np.zeros_like(volume)
    pace = 1.0
    for _ in range(ITERATIONS):
        step = np.maximum(
            ahead - (convolved(ahead, power) - target + penalty) / np.float32(power.max()), 0
        )
        next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = step + np.float32((pace - 1) / next_pace) * (step - centres)
        centres, pace = step, next_pace
    return centres


def _over(work: Callable[[int], None], rows: int) -> None:
    with ThreadPoolExecutor(worker_threads()) as pool:
        for _ in pool.map(work, range(rows)):
            pass


def _timed(act: Callable[[], Float32]) -> tuple[float, Float32]:
    before = time.perf_counter()
    result = act()
    return time.perf_counter() - before, result


def _require_equal(ours: Float32, theirs: Float32) -> None:
    apart = float(np.abs(ours - theirs).max() / theirs.max())
    if apart > AGREEMENT:
        raise AssertionError(f"sphere centres differ by {apart:.1e} of their maximum")
