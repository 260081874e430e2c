"""Unusual and faulty recordings: the particles are found in all of them.

The assemblies are simulated; only the scoring reads the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from controller.model.scan import ScanSettings
from processing import (
    ProcessingError,
    ProcessSettings,
    SeriesResult,
    TiltSeries,
    process_series,
)
from processing.images.isolate import isolate_object
from simulator.scoring import score_tables
from simulator.series import Series, simulate_dual
from simulator.settings import Packing, SimulatorSettings, SpecimenSettings, StageSettings
from simulator.specimen import Particles

PIXEL_NM = 0.9
FIELD_PX = 50
ANGLES = tuple(np.arange(-70.0, 73.0, 4.0))
UNEVEN = tuple(np.round(70 * np.sin(np.linspace(-1.5, 1.5, 36)), 1))
AGAIN = tuple(sorted([*ANGLES, -22.0, 2.0, 2.0, 38.0]))
SETTINGS = ProcessSettings(diameter_nm=6.3, analysis=False)


@cache
def recorded(
    packing: Packing = Packing.DISORDERED,
    width_px: int = FIELD_PX,
    height_px: int = FIELD_PX,
    angles: tuple[float, ...] = ANGLES,
    seed: int = 5,
) -> tuple[Series, Particles]:
    settings = SimulatorSettings(
        seed=seed,
        specimen=SpecimenSettings(packing=packing, assembly_diameter_nm=32.0),
        stage=StageSettings(tilt_error_deg=0.15),
    )
    scan = ScanSettings(width_px=width_px, height_px=height_px, pixel_nm=PIXEL_NM, dwell_us=3.0)
    dual = simulate_dual(settings, scan, angles, (0.0,), 70.0, tracking_error_nm=3.0)
    return dual.a, dual.truth


Pixels = NDArray[np.float32]
Change = Callable[[Series], TiltSeries]


def as_series(raw: Series, images: NDArray[np.generic] | None = None, **more: object) -> TiltSeries:
    taken = raw.counts.astype(np.float32) if images is None else images
    return TiltSeries(taken, raw.reported_deg, PIXEL_NM, **more)  # type: ignore[arg-type]


def picked(keep: Callable[[NDArray[np.float64]], NDArray[np.generic]]) -> Change:
    """Select or reorder images: `keep` maps the tilt angles to sections."""

    def change(raw: Series) -> TiltSeries:
        index = keep(raw.reported_deg)
        return TiltSeries(raw.counts[index].astype(np.float32), raw.reported_deg[index], PIXEL_NM)

    return change


def stored_as(dtype: DTypeLike, top: float) -> Change:
    def change(raw: Series) -> TiltSeries:
        return as_series(raw, (raw.counts / raw.counts.max() * top).astype(dtype))

    return change


def spoilt(spoil: Callable[[Pixels], None], **more: object) -> Change:
    def change(raw: Series) -> TiltSeries:
        images = raw.counts.astype(np.float32)
        spoil(images)
        return as_series(raw, images, **more)

    return change


def turned(
    axis_deg: float, off_px: tuple[float, float] = (0.0, 0.0), known_axis_deg: float = 0.0
) -> Change:
    """Rotate the images: a point at (y, u) moves to row u sin a + y cos a."""
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    back = np.array([[cos, -sin], [sin, cos]])

    def change(raw: Series) -> TiltSeries:
        middle = (np.array(raw.counts.shape[1:]) - 1) / 2
        start = middle - back @ (middle + off_px)
        images = [
            ndimage.affine_transform(image, back, start, order=3, mode="nearest")
            for image in raw.counts.astype(np.float32)
        ]
        return as_series(raw, np.stack(images), tilt_axis_deg=known_axis_deg)

    return change


def marked() -> Change:
    excluded = np.zeros(len(ANGLES), bool)
    excluded[[5, 20]] = True

    def spoil(images: Pixels) -> None:
        images[excluded] = 60000

    return spoilt(spoil, excluded=excluded)


def unmarked(images: Pixels) -> None:
    """Spoil images: a blanked beam, a lost object, another object, full scale, another exposure."""
    images[4] = images.min()
    images[10] = np.roll(images[10], (22, -17), (0, 1))
    images[17] = recorded(Packing.FCC, seed=77)[0].counts[17]
    images[25] = 65535
    images[30] *= 8


def unsorted_and_dark(raw: Series) -> TiltSeries:
    order = np.random.default_rng(2).permutation(len(raw.reported_deg))
    images = raw.counts[order].astype(np.float32) + 5000
    return TiltSeries(images, raw.reported_deg[order], PIXEL_NM)


def clipped(share: float) -> Change:
    def spoil(images: Pixels) -> None:
        np.minimum(images, np.quantile(images, 1 - share), out=images)

    return spoilt(spoil)


@dataclass(frozen=True)
class Case:
    name: str
    change: Change = as_series
    packing: Packing = Packing.DISORDERED
    size_px: tuple[int, int] = (FIELD_PX, FIELD_PX)
    """Width and height of the images (px)."""
    angles: tuple[float, ...] = ANGLES
    axis_deg: float = 0.0
    axis_within_deg: float = 0.3
    left_out: list[int] = field(default_factory=list)


CASES = [
    Case("nothing odd"),
    Case("angles taken again, of a crystal", packing=Packing.FCC, angles=AGAIN),
    Case("a gap of ten degrees", picked(lambda t: np.flatnonzero((t < 9) | (t > 19)))),
    Case("every third missing", picked(lambda t: np.flatnonzero(np.arange(len(t)) % 3 != 1))),
    Case("uneven steps", angles=UNEVEN),
    Case("unsorted, above a dark level of thousands", unsorted_and_dark),
    Case("excluded and marked", marked(), left_out=[5, 20]),
    Case("bad and unmarked", spoilt(unmarked), left_out=[4, 10, 17, 25, 30]),
    Case(
        "bad and unmarked, a crystal",
        spoilt(unmarked),
        packing=Packing.FCC,
        left_out=[4, 10, 17, 25, 30],
    ),
    Case("axis off by five degrees, and off the middle", turned(5.0, (3, -4)), axis_deg=5.0),
    Case("axis off the other way", turned(-5.0, (-2, 3)), Packing.FCC, axis_deg=-5.0),
    Case("axis along the rows", turned(90.0, known_axis_deg=90.0), axis_deg=90.0),
    Case("wide images of int16", stored_as(np.int16, 30000), size_px=(68, 46)),
    Case("high images of uint8", stored_as(np.uint8, 255), size_px=(46, 68)),
    Case("clipped", clipped(0.03)),
    # clipping removes signal where crystal columns line up, so the tilt axis is less exact
    Case("clipped, a crystal", clipped(0.03), packing=Packing.FCC, axis_within_deg=1.0),
]


def scale_against(truth: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Size of the assembly found over its true size, from the spread of matched particles."""
    near = np.median(truth, axis=0) - np.median(found, axis=0)
    for _ in range(4):
        distance, index = cKDTree(truth).query(found + near)
        pairs = distance < 1.5
        near = (truth[index[pairs]] - found[pairs]).mean(axis=0)
    return float(found[pairs].std(axis=0).sum() / truth[index[pairs]].std(axis=0).sum())


def f1_and_scale(result: SeriesResult, truth: Particles) -> tuple[float, float]:
    """F1, and the size found over the true size."""
    centres_nm = result.detection.table.centres_nm
    score = score_tables(truth, {"found": centres_nm}).tables["found"]
    return score.f1, scale_against(truth.centres_nm, centres_nm)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_particles_are_found(case: Case) -> None:
    raw, truth = recorded(case.packing, *case.size_px, angles=case.angles)
    result = process_series(case.change(raw), SETTINGS)
    f1, scale = f1_and_scale(result, truth)
    assert f1 > 0.99
    assert scale == pytest.approx(1, abs=0.003)
    assert result.summary.tilt_axis_deg == pytest.approx(case.axis_deg, abs=case.axis_within_deg)
    assert result.summary.excluded == case.left_out


def test_the_opposite_tilt_sense_gives_the_mirror_image() -> None:
    raw, truth = recorded()
    series = TiltSeries(raw.counts.astype(np.float32), -raw.reported_deg, PIXEL_NM)
    mirrored = Particles(truth.centres_nm * [1, 1, -1], truth.diameters_nm)
    assert f1_and_scale(process_series(series, SETTINGS), mirrored)[0] > 0.99


def test_a_series_without_good_images_is_refused_with_its_faults() -> None:
    images = recorded()[0].counts.astype(np.float32)
    images[3:] = 65535
    images[:2] = np.nan
    with pytest.raises(ProcessingError, match=r"of 36 .*33 blank, 2 not finite") as refused:
        process_series(as_series(recorded()[0], images), SETTINGS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("packing", "seed"),
    [(Packing.DISORDERED, 2), (Packing.DISORDERED, 3), (Packing.FCC, 3), (Packing.MULTI_GRAIN, 7)],
)
def test_a_loose_assembly_alone_is_not_taken_for_two(packing: Packing, seed: int) -> None:
    raw, _ = recorded(packing, seed=seed)
    found = isolate_object(as_series(raw)).series
    assert (found.notes, found.doubts) == ((), ())
