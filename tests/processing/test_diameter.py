"""The estimated diameter is within 2 % of the mean true diameter for every kind of recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from controller.model.scan import ScanSettings
from processing.count.diameter import (
    _coarse_diameter,
    estimate_diameter,
    pair_distance,
    refined_diameter,
)
from processing.count.form_factor import MeasuredDiameter
from processing.errors import ProcessingError
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.reconstruct.sirt import sirt_series
from processing.series import TiltSeries
from simulator.series import simulate_dual
from simulator.settings import SimulatorSettings
from tests.support.recorded import as_read
from tests.support.spheres import jittered, packed, tilt_series

TOLERANCE = 0.02
ANGLES = np.arange(-70.0, 75.0, 4.0)


@pytest.mark.parametrize(
    ("order", "diameter_px", "ratio"),
    [("fcc", 7.0, 1.22), ("disordered", 7.0, 1.22), ("fcc", 5.5, 1.25), ("disordered", 11.0, 1.2)],
    ids=["fcc", "disordered", "small", "large"],
)
def test_the_diameter_of_ideal_spheres_is_found(
    order: str, diameter_px: float, ratio: float
) -> None:
    centres = packed(2.9 * diameter_px, ratio * diameter_px, order=order, seed=5)
    size = 2 * round(3.6 * diameter_px)
    series = tilt_series(centres, ANGLES, diameter_px, size)
    estimate = estimate_diameter(sirt_series(series, 30), series)
    assert estimate.value_px == pytest.approx(diameter_px, rel=TOLERANCE)


def test_in_the_flat_scan_of_few_tilts_the_larger_diameter_stands() -> None:
    """Scan of 25 tilts of 6.3 nm spheres, 4.93 px wide; a fit to it reaches 25 % either way."""
    trials_px = np.geomspace(3.0, 25.6, 11)
    correlation = np.array(
        [0.361, 0.407, 0.383, 0.306, 0.254, 0.269, 0.241, 0.251, 0.300, 0.268, 0.274]
    )
    assert _coarse_diameter(trials_px, correlation) == pytest.approx(4.93, rel=0.1)


def test_spheres_wider_than_the_part_that_is_scanned_are_found() -> None:
    diameter_px = 40.0
    centres = packed(1.3 * diameter_px, 1.2 * diameter_px, order="fcc", seed=5)
    series = tilt_series(centres, ANGLES[::3], diameter_px, 152)
    estimate = estimate_diameter(sirt_series(series, 12, momentum=True), series)
    assert estimate.value_px == pytest.approx(diameter_px, rel=TOLERANCE)


def test_small_spheres_that_explain_the_noise_are_not_chosen() -> None:
    """The reconstruction has noise that is as strong as the particles and finer than them."""
    series = tilt_series(packed(30, 8.5, order="disordered", seed=7), ANGLES[::2], 7.0, 72)
    volume = sirt_series(series, 20, momentum=True)
    grain = gaussian_filter(np.random.default_rng(3).normal(size=volume.shape), 1.0)
    noisy = np.maximum(volume + 2 * volume.std() / grain.std() * grain, 0).astype(np.float32)
    estimate = estimate_diameter(noisy, series)
    assert estimate.trials_px[estimate.correlation.argmax()] < 5
    assert estimate.value_px == pytest.approx(7.0, rel=TOLERANCE)


@pytest.mark.parametrize("counts", [2.0, 1.0])
def test_spheres_that_explain_the_noise_of_few_electrons_are_not_chosen(counts: float) -> None:
    """A part of the volume is explained by wide spheres as well as by those of the particles."""
    taken = jittered(len(ANGLES), jitter_px=0.0, angle_error_deg=0.0, counts=counts, seed=1)
    series = tilt_series(packed(24, 8.5, order="disordered", seed=5), ANGLES, 7.0, 68, taken)
    estimate = estimate_diameter(sirt_series(series, 20, momentum=True), series)
    assert estimate.value_px == pytest.approx(7.0, rel=TOLERANCE)


def test_spheres_as_large_as_the_assembly_are_not_chosen() -> None:
    """With few particles, few tilts and noise, large spheres fit the outline nearly as well."""
    clean = tilt_series(packed(20.3, 8.54, order="fcc", seed=5), ANGLES[::3], 7.0, 50)
    noise = np.random.default_rng(1).normal(0, 0.15 * clean.images.max(), clean.images.shape)
    series = TiltSeries((clean.images + noise).astype(np.float32), clean.angles_deg, 1.0)
    estimate = estimate_diameter(sirt_series(series, 20, momentum=True), series)
    assert estimate.correlation[-1] > 0.85 * estimate.correlation.max()
    assert estimate.value_px == pytest.approx(7.0, rel=TOLERANCE)


@dataclass(frozen=True)
class Recorded:
    """Simulated series A with exit blur, saturation, jitter and noise."""

    id: str
    packing: str = "fcc"
    assembly_nm: float = 90.0
    diameter_nm: float = 6.3
    pixel_nm: float = 1.0
    spread: float = 0.03
    step_deg: float = 3.0
    dwell_us: float = 5.0
    seed: int = 1


RECORDED = [
    Recorded("disordered, few counts", "disordered", 70.0, dwell_us=1.5),
    Recorded("4 nm, wide sizes", assembly_nm=56.0, diameter_nm=4.0, pixel_nm=0.8, spread=0.05),
    # many particles of these crystals are missed or misplaced on the beam's exit side
    Recorded("thick, a third of the tilts", "multi-grain", 135.0, 6.3, 1.2, step_deg=6.0, seed=4),
]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case.id)
def test_the_diameter_in_a_simulated_series_is_found(case: Recorded) -> None:
    settings = SimulatorSettings.model_validate(
        {
            "seed": case.seed,
            "specimen": {
                "packing": case.packing,
                "assembly_diameter_nm": case.assembly_nm,
                "particle_diameter_nm": case.diameter_nm,
                "size_spread": case.spread,
                "other_assemblies_nm": [],
            },
        }
    )
    side_px = 8 * int(np.ceil((case.assembly_nm + 16) / case.pixel_nm / 8))
    scan = ScanSettings(
        width_px=side_px, height_px=side_px, pixel_nm=case.pixel_nm, dwell_us=case.dwell_us
    )
    dual = simulate_dual(settings, scan, np.arange(-70.0, 75.0, case.step_deg), [0.0], 70.0)
    raw = as_read(dual.a, case.pixel_nm)
    estimated = process_series(raw, ProcessSettings(analysis=False)).diameter.value
    assert estimated == pytest.approx(float(dual.truth.diameters_nm.mean()), rel=TOLERANCE)


@dataclass(frozen=True)
class Centres:
    """Errors of the centres, and of the start diameter."""

    id: str
    missed: float = 0.0
    """Missed particles, as a fraction of all."""
    false: float = 0.0
    """False particles at random positions, as a fraction of all true ones."""
    error_px: float = 0.0
    start: float = 1.0
    """Start diameter over the true one."""


CENTRES = [
    Centres("correct"),
    Centres("a third missed", missed=0.33),
    Centres("misplaced", error_px=0.5),
    Centres("some false", false=0.1),
    Centres("missed, false and misplaced", missed=0.4, false=0.1, error_px=0.5),
    Centres("start too small", error_px=0.3, start=0.82),
    Centres("start too large", error_px=0.3, start=1.2),
]


@pytest.fixture(scope="module", params=["fcc", "disordered"])
def noisy(request: pytest.FixtureRequest) -> tuple[TiltSeries, np.ndarray]:
    """Return a noisy series of 7 px spheres, and their centres."""
    rng = np.random.default_rng(7)
    centres = packed(40.0, 8.5, order=request.param, seed=7)
    centres = centres + rng.normal(0, 0.12, centres.shape)
    series = tilt_series(centres, np.arange(-70.0, 75.0, 6.0), 7.0, 104)
    noise = rng.normal(0, 0.02 * series.images.max(), series.images.shape)
    images = (series.images + noise).astype(np.float32)
    return TiltSeries(images, series.angles_deg, 1.0), centres


@pytest.mark.parametrize("case", CENTRES, ids=lambda case: case.id)
def test_the_diameter_does_not_depend_on_errors_of_the_centres(
    case: Centres, noisy: tuple[TiltSeries, np.ndarray]
) -> None:
    series, truth = noisy
    rng = np.random.default_rng(8)
    centres = truth[rng.uniform(size=len(truth)) >= case.missed]
    centres = centres + rng.normal(0, case.error_px, centres.shape)
    false = rng.uniform(-28, 28, (int(case.false * len(truth)), 3))
    found = refined_diameter(series, np.vstack([centres, false]), 7.0 * case.start)
    assert found.value_px == pytest.approx(7.0, rel=TOLERANCE)
    assert found.error_px is not None
    assert abs(found.value_px - 7.0) < 4 * found.error_px < 4 * TOLERANCE * 7.0


def test_without_particles_the_start_diameter_is_kept(noisy: tuple[TiltSeries, np.ndarray]) -> None:
    assert refined_diameter(noisy[0], np.zeros((0, 3)), 6.5) == MeasuredDiameter(6.5)


def test_an_empty_volume_has_no_diameter() -> None:
    series = TiltSeries(np.zeros((5, 40, 40), np.float32), np.arange(5.0), 1.0)
    with pytest.raises(ProcessingError, match="empty"):
        estimate_diameter(np.zeros((40, 40, 40), np.float32), series)


@pytest.mark.parametrize(("order", "rel"), [("fcc", 0.02), ("disordered", 0.05)])
def test_the_pair_distance_is_the_particle_spacing(order: str, rel: float) -> None:
    assert pair_distance(packed(40, 7.7, order=order, seed=6)) == pytest.approx(7.7, rel=rel)


def test_six_particles_have_no_pair_distance() -> None:
    assert pair_distance(np.zeros((6, 3))) is None
