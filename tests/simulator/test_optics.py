"""Images: position, intensity, and blur on the exit side of the beam."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from simulator import transport
from simulator.optics import render
from simulator.settings import OpticsSettings, SpecimenSettings
from simulator.specimen import Particles, make_assembly

OPTICS = OpticsSettings()
FRACTION_PER_NM = 0.13 / transport.mean_free_path_nm()
"""Fraction of the beam that 1 nm of gold scatters to the detector on the entrance side."""


def _scan(pixels: int, pixel_nm: float) -> ScanSettings:
    return ScanSettings(width_px=pixels, height_px=pixels, pixel_nm=pixel_nm, dwell_us=1.0)


def _lone_particle(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Particles:
    return Particles(np.array([[x, y, z]]), np.array([6.3]))


def _offsets(scan: ScanSettings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = np.asarray(
        (np.arange(scan.width_px) - (scan.width_px - 1) / 2) * scan.pixel_nm, np.float64
    )
    return axis[None, :], axis[:, None]


def _width_nm(image: NDArray[np.float32], scan: ScanSettings) -> float:
    u, v = _offsets(scan)
    return float(np.sqrt(np.sum(image * (u**2 + v**2)) / image.sum()))


@pytest.mark.parametrize("position", [(0.0, 0.0), (0.31, -0.17), (7.77, 3.21), (-11.05, 9.9)])
def test_particle_is_drawn_within_a_hundredth_of_a_pixel(position: tuple[float, float]) -> None:
    scan = _scan(64, 0.9)
    image = render(_lone_particle(*position), scan, OPTICS)
    u, v = _offsets(scan)
    found = np.sum(image * u) / image.sum(), np.sum(image * v) / image.sum()
    np.testing.assert_allclose(found, position, atol=0.01 * scan.pixel_nm)


def test_lone_particle_shows_its_thickness_profile() -> None:
    scan = _scan(65, 0.45)
    image = render(_lone_particle(), scan, OPTICS)
    u, v = _offsets(scan)
    chord = 2.0 * np.sqrt(np.maximum(3.15**2 - u**2 - v**2, 0.0))
    clear = np.abs(np.hypot(u, v) - 3.15) > 0.5  # the probe blurs the edge of the sphere
    np.testing.assert_allclose(
        image[clear],
        FRACTION_PER_NM * chord[clear],
        atol=0.05 * FRACTION_PER_NM * 6.3,
    )
    assert image.sum() == pytest.approx(FRACTION_PER_NM * chord.sum(), rel=0.02)


def test_coarse_scan_samples_the_fine_scan() -> None:
    assembly = make_assembly(SpecimenSettings(assembly_diameter_nm=40.0), seed=1)
    fine = render(assembly, _scan(65, 0.9), OPTICS)
    coarse = render(assembly, _scan(33, 1.8), OPTICS)
    np.testing.assert_allclose(coarse, fine[::2, ::2], atol=0.01 * float(fine.max()))


def test_thick_assembly_has_the_known_saturation() -> None:
    assembly = make_assembly(SpecimenSettings(flattening=0.0), seed=1)
    image = render(assembly, _scan(200, 0.9), OPTICS)
    fill = np.sum(assembly.diameters_nm**3) / 165.0**3
    for distance_nm in (0.0, 40.0, 60.0):
        u, v = _offsets(_scan(200, 0.9))
        ring = np.abs(np.hypot(u, v) - distance_nm) < 8.0
        gold_nm = fill * 2.0 * np.sqrt(82.5**2 - np.hypot(u, v)[ring] ** 2)
        expected = np.mean(0.65 * np.tanh(gold_nm / 57.0))
        assert image[ring].mean() == pytest.approx(expected, rel=0.05)


def test_particle_on_the_exit_side_is_weaker_and_blurred() -> None:
    assembly = make_assembly(SpecimenSettings(assembly_diameter_nm=150.0, flattening=0.0), seed=1)
    scan = _scan(49, 0.9)
    without = render(assembly, scan, OPTICS)

    def added(height_nm: float) -> NDArray[np.float32]:
        centres = np.vstack([assembly.centres_nm, [[0.0, 0.0, height_nm]]])
        more = Particles(centres, np.append(assembly.diameters_nm, 6.3))
        return render(more, scan, OPTICS) - without

    entrance_side, exit_side = added(80.0), added(-80.0)
    assert 0.3 < exit_side.sum() / (FRACTION_PER_NM * np.pi / 6 * 6.3**3 / 0.9**2) < 0.6
    assert exit_side.max() < 0.4 * entrance_side.max()
    assert _width_nm(np.maximum(exit_side, 0), scan) > 1.3 * _width_nm(
        render(_lone_particle(), scan, OPTICS), scan
    )


@pytest.mark.parametrize(
    ("sharp", "blurred"),
    [((8.0, 0.0), (8.0, 80.0)), ((8.0, 0.0), (1.5, 0.0)), ((1.5, 80.0), (8.0, 250.0))],
    ids=["8 mrad out of focus", "1.5 mrad in focus", "1.5 mrad has more depth of field"],
)
def test_focus_and_convergence_set_the_sharpness(
    sharp: tuple[float, float], blurred: tuple[float, float]
) -> None:
    scan = _scan(65, 0.3)

    def steepest(convergence_mrad: float, height_nm: float) -> float:
        optics = OpticsSettings(convergence_mrad=convergence_mrad)
        image = render(_lone_particle(z=height_nm), scan, optics)
        return float(np.abs(np.diff(image[32])).max())

    assert steepest(*blurred) < 0.9 * steepest(*sharp)


def test_empty_field_has_no_signal() -> None:
    assert not render(_lone_particle(x=500.0), _scan(32, 0.9), OPTICS).any()
