"""Right series of many kinds, and the ways in which files are wrong about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from controller.model.scan import ScanSettings
from processing.series import Float64, TiltSeries
from simulator.series import simulate_dual
from simulator.settings import SimulatorSettings, SpecimenSettings
from tests.support.packings import OF_EQUAL_SPHERES
from tests.support.spheres import jittered, tilt_series

PIXEL_NM = 0.9
BY_2, BY_4, BY_10 = (np.arange(-70.0, 71.0, step) for step in (2.0, 4.0, 10.0))


def right_series() -> Iterator[tuple[str, TiltSeries]]:
    """Yield simulated assemblies of every packing, a few spheres, and noise, with their names."""
    for packing in OF_EQUAL_SPHERES:
        for name, diameter_nm, side_px, angles, dwell_us in (
            ("46 nm", 46.0, 68, BY_4, 3.0),
            ("46 nm, dim", 46.0, 68, BY_4, 0.1),
            ("46 nm, cut", 46.0, 44, BY_4, 3.0),
            ("46 nm, one-sided", 46.0, 68, BY_2[:25], 3.0),
            ("46 nm, by 10", 46.0, 68, BY_10, 3.0),
            ("46 nm, five tilts", 46.0, 68, np.arange(-8.0, 9.0, 4.0), 3.0),
            ("120 nm", 120.0, 150, BY_2, 3.0),
            ("120 nm, by 10", 120.0, 150, BY_10, 3.0),
        ):
            specimen = SpecimenSettings(packing=packing, assembly_diameter_nm=diameter_nm)
            scan = ScanSettings(
                width_px=side_px, height_px=side_px, pixel_nm=PIXEL_NM, dwell_us=dwell_us
            )
            recorded = simulate_dual(
                SimulatorSettings(seed=5, specimen=specimen), scan, angles, (0.0,), 70.0
            ).a
            images = recorded.counts.astype(np.float32)
            yield f"{packing.value} {name}", TiltSeries(images, recorded.reported_deg, PIXEL_NM)
    for name, centres in _few_spheres():
        taken = jittered(len(BY_4), jitter_px=2.0, angle_error_deg=0.15, counts=300, seed=3)
        yield name, tilt_series(centres, BY_4, 8.0, 64, taken)
    counts = np.random.default_rng(0).poisson(100, (len(BY_4), 64, 64))
    yield "noise", TiltSeries(counts.astype(np.float32), BY_4, 1.0)


def _few_spheres() -> Iterator[tuple[str, Float64]]:
    for number in (1, 2, 3, 6, 20):
        yield f"{number} spheres", np.random.default_rng(number).uniform(-15, 15, (number, 3))
    row = np.linspace(-16, 16, 5)[:, None]
    yield "row along the axis", row * [0.0, 1.0, 0.0]
    yield "row along the beam", row * [0.0, 0.0, 1.0]


def _dose_symmetric(angles: Float64) -> Float64:
    return angles[np.argsort(np.abs(angles - 0.01), kind="stable")]


def _bidirectional(angles: Float64) -> Float64:
    start = int(np.abs(angles).argmin())
    return np.concatenate([angles[start:], angles[:start][::-1]])


def _with(change: Callable[[Float64], Float64]) -> Callable[[TiltSeries], TiltSeries]:
    return lambda series: replace(series, angles_deg=change(series.angles_deg))


def _turned(series: TiltSeries) -> TiltSeries:
    return replace(series, images=np.ascontiguousarray(np.rot90(series.images, axes=(1, 2))))


def recorded_dose_symmetric(series: TiltSeries) -> TiltSeries:
    """Sort a series with ascending angles as a dose-symmetric recording."""
    sections = np.argsort(np.abs(series.angles_deg - 0.01), kind="stable")
    return replace(series, images=series.images[sections], angles_deg=series.angles_deg[sections])


WRONG: dict[str, Callable[[TiltSeries], TiltSeries]] = {
    "images turned by 90 degrees": _turned,
    "dose-symmetric angles": _with(_dose_symmetric),
    "bidirectional angles": _with(_bidirectional),
    "sorted angles": _with(np.sort),
    "shuffled angles": _with(np.random.default_rng(1).permutation),
    "radians": _with(np.deg2rad),
    "section numbers": _with(lambda angles: np.arange(len(angles), dtype=np.float64)),
    "half the angles": _with(lambda angles: angles / 2),
}
"""Ways to be wrong about a series: sorted angles about a dose-symmetric recording, the others about
a series with ascending angles."""
