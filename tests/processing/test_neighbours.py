"""Neighbours are fitted where a count needs it; their particles are listed, not counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import processing.pipeline.single as single
from processing import (
    ProcessSettings,
    TiltSeries,
    process_series,
    read_csv,
    read_series_result,
    write_series_result,
)
from processing.align.alignment import unaligned
from processing.images.isolate import isolate_object
from processing.pipeline.divide import divide_particles
from processing.pipeline.neighbours import without_neighbours
from processing.results import Trust
from tests.support.spheres import packed, tilt_series

Floats = NDArray[np.float64]
DIAMETER_NM, FIELD_PX = 5.0, 66
ANGLES = np.arange(-65.0, 66.0, 5.0)
SETTINGS = ProcessSettings(diameter_nm=DIAMETER_NM, analysis=False)


def assembly(radius: float = 12.0) -> Floats:
    return packed(radius, 1.15 * DIAMETER_NM, order="fcc", seed=3)


def cut_above(radius: float, distance: float) -> Floats:
    """Neighbour of the same kind, cut by the upper edge of the field."""
    return assembly(radius) + np.array([0.0, distance, 0.0])


def recorded(*objects: Floats, angles: Floats = ANGLES, field_px: int = FIELD_PX) -> TiltSeries:
    """Series of the spheres with read noise; the brightest pixel of an assembly has about 1000."""
    series = tilt_series(np.concatenate(objects), angles, DIAMETER_NM, field_px)
    noise = np.random.default_rng(1).normal(100, 5, series.images.shape)
    return replace(series, images=(50 * series.images + noise).astype(np.float32))


def ring(number: int, radius: float) -> Floats:
    turn = np.arange(number) * 2 * np.pi / number
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), np.zeros(number)], axis=1)


@dataclass(frozen=True)
class Division:
    """Particles on a line, 1 nm wide: where they lie, and which belong to the object."""

    name: str
    x_nm: tuple[float, ...]
    own: tuple[bool, ...]
    particles: tuple[bool, ...] | None = None


DIVISIONS = [
    Division("all within the outline", (-1.0, 0.0, 1.0), (True, True, True)),
    Division("a neighbour out of the outline", (0.0, 1.0, 9.0, 10.0), (True, True, False, False)),
    Division("a particle out of the outline, in contact", (2.0, 3.0, 4.2), (True, True, True)),
    Division("a particle out of the outline, loose", (2.0, 3.0, 6.0), (True, True, False)),
    Division(
        "two objects in contact part in the middle",
        (2.0, 3.0, 4.3, 5.8, 7.2, 8.6),
        (True, True, True, False, False, False),
    ),
    Division("a weak candidate goes with its object", (0.0, 1.0), (True, True), (True, False)),
    Division("nothing within the outline", (9.0, 10.0), (False, False)),
]


@pytest.mark.parametrize("case", DIVISIONS, ids=lambda case: case.name)
def test_a_chain_of_contacts_makes_a_particle_part_of_the_object(case: Division) -> None:
    """The outline reaches to 3.4 nm in 10 images, and to 4.4 nm in 8 of them."""
    x = np.array(case.x_nm)
    centres = np.stack([x, np.zeros_like(x), np.zeros_like(x)], axis=1)
    places = np.stack([np.full_like(x, 10.0), 10.0 + x], axis=1)
    masks = np.zeros((10, 21, 31), np.float32)
    masks[:, :, 4:14] = masks[:8, :, 14:15] = 1
    own = divide_particles(
        centres,
        np.repeat(places[None], 10, axis=0),
        masks,
        np.ones(10, bool),
        1.0,
        np.array(case.particles or (True,) * len(x)),
    )
    assert own.tolist() == list(case.own)


@pytest.mark.parametrize(
    ("name", "objects", "seen"),
    [
        ("an assembly alone", (assembly(),), False),
        ("a neighbour cut by the edge", (assembly(), cut_above(12.0, 32.0)), True),
        ("loose particles", (assembly(11.0), ring(5, 28.0)), True),
    ],
)
def test_what_lies_beside_the_object_is_kept_for_a_model(
    name: str, objects: tuple[Floats, ...], seen: bool
) -> None:
    assert (isolate_object(recorded(*objects)).beside is not None) is seen


def test_an_object_in_one_image_is_masked_only() -> None:
    series = recorded(assembly())
    images = series.images.copy()
    images[7] = np.roll(images[7], 20, axis=0)
    found = isolate_object(replace(series, images=images))
    assert found.beside is None


def test_a_model_that_needs_more_memory_than_the_limit_is_not_made() -> None:
    isolated = isolate_object(recorded(assembly(), cut_above(12.0, 32.0)))
    assert isolated.beside is not None
    little = SETTINGS.model_copy(update={"memory_limit_GB": 0.005})
    start = unaligned(isolated.series)
    assert without_neighbours(isolated, isolated.beside, start, little) is None


def test_a_trusted_count_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def model(*args: object, **more: object) -> None:
        raise AssertionError("a model was made")

    monkeypatch.setattr(single, "without_neighbours", model)
    result = process_series(recorded(assembly(), cut_above(12.0, 38.0)), SETTINGS)
    verdict = result.detection.count.verdict
    assert verdict is not None and verdict.state is Trust.TRUSTED
    assert (result.detection.count.n, len(result.beside)) == (len(assembly()), 0)


def test_particles_beside_the_object_are_listed_and_read_back(tmp_path: Path) -> None:
    """The mask alone leaves parts of the neighbour in the images: the count would be doubtful."""
    series = recorded(assembly(9.0), cut_above(9.0, 23.0), angles=ANGLES[::3], field_px=52)
    result = process_series(series, SETTINGS)
    verdict = result.detection.count.verdict
    assert verdict is not None and verdict.state is Trust.TRUSTED
    assert result.detection.count.n == len(assembly(9.0))
    assert result.beside.centres_nm[:, 1].min() > 9.0
    assert any("listed with beside = true" in line for line in result.warnings)
    write_series_result(tmp_path, "A", result)
    listed = read_csv(tmp_path / "processed" / "particles_A.csv")
    assert (len(listed.counted), listed.beside.sum()) == (19, len(result.beside))
    again = read_series_result(tmp_path, "A")
    assert (len(again.detection.table), len(again.beside)) == (19, len(result.beside))
