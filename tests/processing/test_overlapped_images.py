"""Images in which a neighbour overlaps the object: left out of the mask's count, then aligned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import processing.pipeline.single as single
from processing import (
    ProcessSettings,
    TiltSeries,
    process_series,
    read_series_result,
    write_series_result,
)
from processing.align.outward import align_outward
from processing.align.series import align_series, background_subtracted
from processing.images.isolate import isolate_object
from processing.pipeline.series_search import find_particles
from processing.pipeline.unshadowed import with_unshadowed_parts
from processing.results import Trust
from tests.support.spheres import Recording, jittered, packed, tilt_series

DIAMETER_NM, FIELD_PX = 5.0, 66
ANGLES = np.arange(-65.0, 66.0, 5.0)
OBJECT, NEIGHBOUR = (
    packed(12.0, 1.15 * DIAMETER_NM, order="disordered", seed=seed) + place
    for seed, place in ((5, np.zeros(3)), (6, np.array([24.0, 16.0, 0.0])))
)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return jittered(len(ANGLES), jitter_px=3.0, angle_error_deg=0.0, counts=None, seed=5)


@pytest.fixture(scope="module")
def series(recording: Recording) -> TiltSeries:
    """Two assemblies; the field cuts the second, which covers the first at high tilt."""
    both = np.concatenate([OBJECT, NEIGHBOUR])
    sound = tilt_series(both, ANGLES, DIAMETER_NM, FIELD_PX, recording)
    noise = np.random.default_rng(1).normal(100, 5, sound.images.shape)
    return replace(sound, images=(50 * sound.images + noise).astype(np.float32))


def free_error_px(
    found_px: NDArray[np.float64], true_px: NDArray[np.float64], used: NDArray[np.bool_]
) -> float:
    """Return the largest error of the shifts; a shift of the whole object is arbitrary."""
    angles = np.deg2rad(ANGLES[used])
    free = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=1)
    error = (found_px - true_px)[used]
    return float(np.abs(error - free @ np.linalg.lstsq(free, error, rcond=None)[0]).max())


def test_overlapped_images_are_aligned_from_the_clear_ones(
    series: TiltSeries, recording: Recording
) -> None:
    """The outline of the object is lost in them: with the mask, they are several pixels wrong."""
    isolated = isolate_object(series)
    assert isolated.beside is not None and isolated.beside.overlapped.sum() == 8
    clear = align_series(isolated.clear())
    whole = background_subtracted(replace(series, images=isolated.beside.images))
    found = align_outward(whole, clear, ~whole.excluded)
    assert not found.rejected.any()
    assert free_error_px(found.shifts_px, recording.shifts_px, ~found.rejected) < 1.0


def test_pixels_that_the_neighbour_covers_are_told_from_those_of_the_object_alone(
    series: TiltSeries, recording: Recording
) -> None:
    isolated = isolate_object(series)
    beside = isolated.beside
    assert beside is not None
    clear = align_series(isolated.clear())
    settings = ProcessSettings(diameter_nm=DIAMETER_NM, analysis=False)
    centres_nm = find_particles(isolated.clear(), clear, settings).detection.table.centres_nm
    found = with_unshadowed_parts(isolated, beside, clear, centres_nm, DIAMETER_NM)
    assert found is not None and found.series.known is not None
    added = beside.overlapped & ~found.alignment.rejected
    assert added.sum() >= 6
    used = ~found.alignment.rejected
    assert free_error_px(found.alignment.shifts_px, recording.shifts_px, used) < 0.5
    own, other = (
        tilt_series(centres, ANGLES, DIAMETER_NM, FIELD_PX, recording).images[added]
        for centres in (OBJECT, NEIGHBOUR)
    )
    known = found.series.known[added] > 0.5
    assert known[(own > 0) & (other > DIAMETER_NM)].mean() < 0.02
    far = np.stack([ndimage.distance_transform_edt(each <= 0) > 2 * DIAMETER_NM for each in other])
    assert known[(own > 0) & far].mean() > 0.9


def test_without_a_model_the_parts_that_the_neighbour_leaves_are_counted(
    series: TiltSeries, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(single, "without_neighbours", lambda *args, **more: None)
    result = process_series(series, ProcessSettings(diameter_nm=DIAMETER_NM, analysis=False))
    count = result.detection.count
    assert count.n == len(OBJECT) and result.summary.tilts >= len(ANGLES) - 2
    assert count.verdict is not None and count.verdict.state is Trust.DOUBTFUL
    assert any("only the part that the other object" in line for line in result.warnings)
    write_series_result(tmp_path, "A", result)
    again = read_series_result(tmp_path, "A")
    assert result.aligned.known is not None and again.aligned.known is not None
    np.testing.assert_array_equal(again.aligned.known, result.aligned.known)


def test_without_a_model_or_parts_the_clear_images_are_counted(
    series: TiltSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("without_neighbours", "with_unshadowed_parts"):
        monkeypatch.setattr(single, step, lambda *args, **more: None)
    result = process_series(series, ProcessSettings(diameter_nm=DIAMETER_NM, analysis=False))
    count = result.detection.count
    assert (count.n, result.summary.tilts) == (len(OBJECT), len(ANGLES) - 8)
    assert count.verdict is not None and count.verdict.state is Trust.DOUBTFUL
    assert "series A: 8 images left out, as another object overlaps" in result.warnings[-1]


@pytest.mark.parametrize("order", ["fcc", "disordered"])
def test_images_into_which_a_neighbour_reaches_at_the_last_tilts_are_left_out(order: str) -> None:
    """It adds 4 % of mass; with these images the others are aligned several times worse."""
    recording = jittered(len(ANGLES), jitter_px=0.5, angle_error_deg=0.0, counts=None, seed=5)
    spacing_nm = 1.15 * DIAMETER_NM
    places = [
        packed(12.0, spacing_nm, order=order, seed=seed) + np.array([x_nm, 0.0, 0.0])
        for seed, x_nm in ((5, 0.0), (6, 53.0))
    ]
    sound = tilt_series(np.concatenate(places), ANGLES, DIAMETER_NM, 30, recording)
    noise = np.random.default_rng(1).normal(100, 5, sound.images.shape)
    series = replace(sound, images=(50 * sound.images + noise).astype(np.float32))
    result = process_series(series, ProcessSettings(diameter_nm=DIAMETER_NM, analysis=False))
    assert result.summary.excluded == [0, len(ANGLES) - 1]
    shifts_px = np.array([image.shift_px for image in result.summary.images])
    used = np.array([image.left_out is None for image in result.summary.images])
    assert free_error_px(shifts_px, recording.shifts_px, used) < 0.1
    assert result.detection.count.n == len(places[0])
    assert any("2 images left out, as another object overlaps" in w for w in result.warnings)
