"""Sub-pixel shifts, faults of images, and correction of saturation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import ndimage

from processing.images.health import bad_images
from processing.images.intensity import (
    LINEAR,
    Response,
    background_levels,
    estimate_response,
    linearise,
    without_background,
)
from processing.images.shift import Band, find_shifts
from processing.series import TiltSeries
from tests.support.spheres import image, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 10.0)


@pytest.fixture(scope="module")
def centres() -> np.ndarray:
    return packed(20, 8.6, order="disordered", seed=8)


@pytest.fixture(scope="module")
def series(centres: np.ndarray) -> TiltSeries:
    return tilt_series(centres, ANGLES, 7.0, 64)


@pytest.mark.parametrize(
    ("shift", "noise"),
    [((0.0, 0.0), 0.0), ((0.37, -1.62), 0.0), ((-9.25, 6.5), 0.0), ((3.1, 2.4), 0.5)],
    ids=["none", "small", "large", "noisy"],
)
def test_a_shift_is_found_with_sub_pixel_precision(
    centres: np.ndarray, shift: tuple[float, float], noise: float
) -> None:
    rng = np.random.default_rng(0)
    still, moved = (image(centres, 20, 7.0, 72, (*s, 0.0)) for s in ((0.0, 0.0), shift))
    moved = moved + rng.normal(0, noise * still.std(), still.shape)
    found = find_shifts(moved[None].astype(np.float32), still[None].astype(np.float32))
    np.testing.assert_allclose(found.shifts_px[0], shift, atol=0.1 if noise else 0.03)


def test_nothing_wraps_round(centres: np.ndarray) -> None:
    near = image(centres, 0, 7.0, 96, (0.0, -20.0, 0.0))[None].astype(np.float32)
    far = image(centres, 0, 7.0, 96, (0.0, 20.0, 0.0))[None].astype(np.float32)
    found = find_shifts(far, near, Band(1.5, 30), max_shift_px=60)
    np.testing.assert_allclose(found.shifts_px[0], (0, 40), atol=0.5)


def damaged(images: np.ndarray, how: str) -> None:
    if how == "not finite":
        images[6, 10:20] = np.nan
    elif how == "blank":
        images[6] = 3.0
    elif how == "saturated":
        images[6] = np.where(images[6] > 0.5 * images[6].max(), images.max() + 1, images[6])
    elif how == "copy of the previous image":
        images[6] = images[5]
    elif how == "dim":
        images[6] *= 0.1
    elif how == "bright":
        images[6] *= 8
    elif how == "blurred":
        images[6] = ndimage.gaussian_filter(images[6], 6)


@pytest.mark.parametrize(
    "how",
    ["not finite", "blank", "saturated", "copy of the previous image", "dim", "bright", "blurred"],
)
def test_the_fault_of_a_bad_image_is_named(series: TiltSeries, how: str) -> None:
    rng = np.random.default_rng(3)
    images = series.images + rng.normal(0, 0.3, series.images.shape).astype(np.float32)
    assert bad_images(replace(series, images=images)) == {}
    damaged(images, how)
    assert bad_images(replace(series, images=images)) == {6: how}


@pytest.mark.parametrize("border_px", [0, 4], ids=["plain", "dark border"])
def test_the_background_is_the_level_beside_the_object(series: TiltSeries, border_px: int) -> None:
    rng = np.random.default_rng(4)
    images = series.images + 120 + rng.normal(0, 2, series.images.shape).astype(np.float32)
    if border_px:
        images[:, :border_px] = images[:, -border_px:] = 0
    np.testing.assert_allclose(background_levels(images), 120, atol=1.5)


@pytest.mark.parametrize(
    "saturation", [0.0, 0.7, 0.9], ids=["linear", "saturated", "strongly saturated"]
)
def test_linearise_undoes_tanh(saturation: float) -> None:
    thickness = np.tile(np.linspace(0, 1, 200, dtype=np.float32), (1, 20, 1))
    depth = np.arctanh(saturation) if saturation else 1e-3
    measured = TiltSeries(np.tanh(thickness * depth), np.zeros(1), 1.0)
    full = measured.images.max() / saturation if saturation else np.inf
    linear = linearise(measured, Response(full, saturation)).images.ravel()
    fit = np.polyfit(thickness.ravel(), linear, 1)
    assert np.abs(np.polyval(fit, thickness.ravel()) - linear).max() < 0.02 * linear.max()


@dataclass(frozen=True)
class Detector:
    name: str
    saturation: float = 0.75
    dark: float = 0.1
    clipped_share: float = 0.0
    """Fraction of the pixels at the top of the detector's range."""


DETECTORS = [
    Detector("linear", saturation=0.0),
    Detector("half saturated", saturation=0.5),
    Detector("saturated by thick gold"),
    Detector("dark level of many times the signal", dark=4000.0),
    Detector("clipped", clipped_share=0.01),
]


def beam_average(images: np.ndarray) -> np.ndarray:
    """Average over a broadened beam of 4 nm standard deviation, at 1 nm a pixel."""
    return ndimage.gaussian_filter(images, (0, 4, 4))


def recorded(thickness: np.ndarray, detector: Detector) -> np.ndarray:
    """Record a thickness: the signal of a pixel falls with the mean thickness around it."""
    if detector.saturation == 0:
        return (thickness + detector.dark).astype(np.float32)
    mean = beam_average(thickness)
    full = np.percentile(mean, 99.9) / np.arctanh(detector.saturation)
    signal = thickness * np.tanh(mean / full) / np.maximum(mean / full, 1e-6) + detector.dark
    return np.minimum(signal, np.quantile(signal, 1 - detector.clipped_share)).astype(np.float32)


@pytest.mark.parametrize("pixel_nm", [0.02, 0.1])
def test_the_response_of_atoms_is_linear(series: TiltSeries, pixel_nm: float) -> None:
    """A field of a few nm is narrower than the broadened beam and shows no saturation."""
    atoms = replace(series, pixel_nm=pixel_nm)
    assert estimate_response(without_background(atoms), np.zeros(len(ANGLES))) == LINEAR


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
@pytest.mark.parametrize("order", ["disordered", "fcc"])
def test_the_thickness_is_recovered_from_the_images_alone(order: str, detector: Detector) -> None:
    """The columns of a crystal line up at some tilts and must not gain mass there."""
    points = packed(24, 8.6, order=order, seed=5)
    thickness = tilt_series(points[np.abs(points[:, 2]) < 12], ANGLES, 7.0, 64)
    measured = replace(thickness, images=recorded(thickness.images, detector))
    plain = without_background(measured)
    found = estimate_response(plain, np.zeros(len(ANGLES)))
    tolerance = 0.1 if detector.saturation else 0.2
    assert found.saturation == pytest.approx(detector.saturation, abs=tolerance)
    linear, true = beam_average(linearise(plain, found).images), beam_average(thickness.images)
    thick = true > 0.1 * true.max()
    ratio = linear[thick] / true[thick]
    assert ratio.std() < 0.03 * ratio.mean()
    masses = linearise(plain, found).images.sum(axis=(1, 2))
    # clipping costs few images much of their mass
    error = np.abs(masses / np.median(masses) - 1)
    assert np.quantile(error, 0.9) < 0.01
