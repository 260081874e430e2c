"""Crop and binning of large images: the region, the bin, and results as of the whole images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing import (
    ProcessingError,
    ProcessSettings,
    load_tilt_series,
    process_series,
    write_images,
    write_series_result,
    write_summary,
)
from processing.align.alignment import unaligned
from processing.files.rawtlt import write_rawtlt
from processing.images.binning import block_mean
from processing.pipeline.object_region import object_region
from processing.pipeline.prepared import prepare_field
from processing.pipeline.sampling import (
    choose_sampling,
    finer_sampling,
    in_recorded_pixels,
    in_sampled_pixels,
    sampled,
    turned,
    volume_origin_nm,
)
from processing.pipeline.series_summary import summarise_alignment, summary_in_recorded_pixels
from processing.results import Sampling
from processing.series import Float32, TiltSeries
from tests.support.spheres import jittered, packed, tilt_series

Disc = tuple[float, float, float]
"""Column, row and radius of a disc, px."""


def images_of(discs: list[Disc], rows: int, columns: int) -> Float32:
    """Return an image [y, x] of discs of height 100 on a noisy background of 20."""
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    image = np.random.default_rng(0).normal(20, 2, (rows, columns)).astype(np.float32)
    for column, row, radius in discs:
        image[np.hypot(x - column, y - row) < radius] += 100
    return image


def series_of(*images: Float32, pixel_nm: float = 0.2) -> TiltSeries:
    return TiltSeries(np.stack(images), np.arange(len(images), dtype=float), pixel_nm)


def recorded_field(series: TiltSeries) -> Sampling:
    rows, columns = series.images.shape[1:]
    return Sampling(recorded_px=(columns, rows), crop_px=(0, 0, columns, rows))


ASSEMBLY = (300.0, 350.0, 80.0)
APART: list[Disc] = [(60 + 90.0 * n, 300.0, 9.0) for n in range(6)]
BLANK = np.full((600, 600), 20, np.float32)


@pytest.mark.parametrize(
    ("images", "low", "high"),
    [
        ([images_of([ASSEMBLY], 600, 600)], (220, 270), (380, 430)),
        (
            [images_of([ASSEMBLY], 600, 600), images_of([(360.0, 350.0, 80.0)], 600, 600)],
            (220, 270),
            (440, 430),
        ),
        ([images_of([ASSEMBLY, (500.0, 90.0, 60.0)], 600, 600)], (220, 30), (560, 430)),
        ([images_of([ASSEMBLY, (60.0, 60.0, 7.0)], 600, 600)], (220, 270), (380, 430)),
        ([images_of(APART, 600, 600)], (51, 291), (519, 309)),
        ([images_of([ASSEMBLY], 600, 600), BLANK], (220, 270), (380, 430)),
        ([BLANK], (0, 0), (600, 600)),
        ([images_of([(300.0, 300.0, 420.0)], 600, 600)], (0, 0), (600, 600)),
    ],
    ids=[
        "an assembly",
        "it moves between tilts",
        "a second assembly",
        "a particle beside it",
        "particles apart",
        "a blank image",
        "nothing",
        "it fills the field",
    ],
)
def test_the_region_holds_every_object_and_little_more(
    images: list[Float32], low: tuple[int, int], high: tuple[int, int]
) -> None:
    x, y, width, height = object_region(series_of(*images))
    for start, side, first, last in ((x, width, low[0], high[0]), (y, height, low[1], high[1])):
        spare_px = 0.1 * (last - first) + 25
        assert first - spare_px <= start <= first
        assert last <= start + side <= last + spare_px


@pytest.mark.parametrize("fault", ["hot pixel", "excluded image", "not a number"])
def test_a_fault_does_not_change_the_region(fault: str) -> None:
    good = images_of([ASSEMBLY], 600, 600)
    bad, excluded = good.copy(), np.zeros(3, bool)
    if fault == "hot pixel":
        bad[20, 580] = 6e4
    elif fault == "not a number":
        bad[:40, :40] = np.nan
    else:
        bad, excluded[1] = images_of([(500.0, 90.0, 60.0)], 600, 600), True
    faulty = replace(series_of(good, bad, good), excluded=excluded)
    assert object_region(faulty) == object_region(series_of(good, good, good))


@pytest.mark.parametrize(
    ("side", "radius", "diameter_px", "limit_GB", "expected_bin", "cropped"),
    [
        (208, 60, 7.0, 6.0, 1, False),
        (416, 60, 60.0, 6.0, 1, False),
        (512, 60, 14.0, 6.0, 1, True),
        (512, 60, 31.0, 6.0, 3, True),
        (1024, 380, 31.5, 6.0, 4, True),
        (1024, 380, 14.0, 6.0, 2, True),
        (1024, 300, 8.0, 6.0, 1, True),
        (1024, 300, 8.0, 1.0, 2, True),
        (1024, 380, None, 6.0, 4, True),
        (1024, 100, None, 6.0, 1, True),
    ],
)
def test_the_bin_leaves_the_particles_the_pixels_they_need(
    side: int,
    radius: float,
    diameter_px: float | None,
    limit_GB: float,
    expected_bin: int,
    cropped: bool,
) -> None:
    middle = side / 2
    series = series_of(images_of([(middle, middle, radius)], side, side))
    diameter_nm = None if diameter_px is None else 0.2 * diameter_px
    settings = ProcessSettings(diameter_nm=diameter_nm, memory_limit_GB=limit_GB)
    sampling = choose_sampling(series, recorded_field(series), settings)
    assert sampling.bin == expected_bin
    assert (sampling.crop_px != (0, 0, side, side)) == cropped
    assert not sampling.crop_px[2] % sampling.bin
    assert sampled(series, sampling).images.shape[1:] == sampling.shape


@pytest.mark.parametrize(
    ("given", "found_px", "expected"),
    [({}, 31.5, None), ({}, 14.5, 2), ({}, 6.0, 2), ({"bin": 3}, 6.0, None)],
    ids=["enough pixels", "too few", "far too few", "the bin was given"],
)
def test_a_bin_that_is_too_coarse_for_the_diameter_found_is_corrected(
    given: dict[str, int], found_px: float, expected: int | None
) -> None:
    settings = ProcessSettings.model_validate(given)
    coarse = Sampling(recorded_px=(1024, 1024), crop_px=(20, 20, 990, 990), bin=3)
    finer = finer_sampling(coarse, found_px, settings)
    assert (finer and finer.bin) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"crop_px": (300, 0, 400, 400)}, r"400 x 400 px from column 300, row 0 does not fit"),
        ({"crop_px": (0, 0, 600, 8)}, r"600 x 8 px .* at least 16 px each way"),
        ({"bin": 50}, r"series A: bin 50 leaves 12 x 12 px"),
    ],
    ids=["beyond the images", "too small", "too coarse"],
)
def test_a_crop_or_bin_that_does_not_fit_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ProcessingError, match=message):
        blank = series_of(BLANK)
        choose_sampling(blank, recorded_field(blank), ProcessSettings.model_validate(given))


def test_pixels_that_are_not_finite_are_left_out_of_the_average() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    image[0, 0], image[2:, 2:] = np.nan, np.inf
    np.testing.assert_allclose(block_mean(image, 2), [[10 / 3, 4.5], [10.5, np.nan]])


def test_an_alignment_is_converted_to_the_sampled_pixels_and_back() -> None:
    point = np.zeros((90, 120), np.float32)
    point[31:34, 70:73] = 1  # its centre is 12.5 rows and 11.5 columns from the image's centre
    series = series_of(point)
    sampling = Sampling(recorded_px=(120, 90), crop_px=(30, 12, 60, 66), bin=3)
    small = sampled(series, sampling).images[0]
    place = np.argwhere(small == small.max()).mean(axis=0) - (np.array(small.shape) - 1) / 2
    recorded = replace(unaligned(series), shifts_px=np.array([[-12.5, 11.5]]))
    converted = in_sampled_pixels(recorded, sampling)
    assert np.abs(converted.shifts_px[0] - place).max() < 0.7  # within the binned pixel
    back = in_recorded_pixels(converted, sampling)
    np.testing.assert_allclose(back.shifts_px, recorded.shifts_px)
    told = summary_in_recorded_pixels(summarise_alignment(series, converted, [None]), sampling)
    np.testing.assert_allclose(told.images[0].shift_px, recorded.shifts_px[0])
    assert volume_origin_nm(sampling, 0.6) == pytest.approx((6.2, 2.6, 6.2))


def test_a_large_series_gives_the_particles_of_the_small_one(tmp_path: Path) -> None:
    """Every pixel of a small series as 8 x 8 pixels in a large field, off its centre."""
    angles, diameter = np.arange(-70.0, 75.0, 6.0), 6.5
    truth = packed(15, 8.0, order="fcc", seed=9)
    taken = jittered(len(angles), jitter_px=1.0, angle_error_deg=0.0, counts=500, seed=1)
    small = tilt_series(truth, angles, diameter, 48, taken)
    images = np.random.default_rng(2).normal(0, 0.01, (len(angles), 500, 560)).astype(np.float32)
    images[:, 100:484, 20:404] += np.kron(small.images, np.ones((1, 8, 8), np.float32))
    large = TiltSeries(images, angles, small.pixel_nm / 8)
    result = process_series(large, ProcessSettings(diameter_nm=diameter, analysis=False))
    sampling = result.summary.sampling
    assert sampling is not None and sampling.bin == 5
    assert any("bin 5" in line for line in result.warnings)
    write_series_result(tmp_path, "A", result)
    summary = write_summary(tmp_path, result)
    assert summary.series["A"].sampling == sampling
    with mrcfile.open(tmp_path / "processed" / "A_sirt.mrc") as file:
        nz, ny, nx = file.data.shape
        corner = np.array([file.header.origin[axis] for axis in "xyz"])
        middle = corner + 10 * summary.pixel_nm * (np.array([nx, ny, nz]) - 1) / 2
        np.testing.assert_allclose(middle, 10 / 8 * (np.array([560, 500, 560]) - 1) / 2, rtol=1e-5)
        assert file.voxel_size.x == pytest.approx(10 * 5 / 8)
    found = result.detection.table.centres_nm
    assert len(found) == len(truth)
    found = found + np.median(truth[cKDTree(truth).query(found)[1]] - found, axis=0)
    assert cKDTree(truth).query(found)[0].max() < 0.6


@pytest.mark.parametrize("stored", ["<u2", ">u2", ">i2"])
def test_a_large_file_stays_on_the_disk_until_it_is_binned(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 900, (5, 40, 64)).astype(stored)
    path = tmp_path / "A.mrc"
    write_images(path, images, 0.5)
    write_rawtlt(tmp_path / "A.rawtlt", np.arange(5.0))
    expected = load_tilt_series(path)
    monkeypatch.setattr("processing.files.mrc.LARGEST_READ_BYTES", 1000)
    monkeypatch.setattr("processing.files.examine.LARGEST_IN_MEMORY_BYTES", 1000)
    mapped = load_tilt_series(path)
    assert isinstance(mapped.images, np.memmap)
    assert mapped.images.dtype == stored
    sampling = Sampling(recorded_px=(64, 40), crop_px=(2, 4, 60, 36), bin=2)
    read, from_disk = sampled(expected, sampling).images, sampled(mapped, sampling).images
    assert from_disk.dtype == np.float32
    np.testing.assert_array_equal(from_disk, read)
    np.testing.assert_array_equal(expected.images, images)


def test_a_bin_that_the_size_alone_suggests_is_refined_once_the_diameter_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Particles of 8 px in images that are first binned by 2."""
    angles, diameter = np.arange(-70.0, 75.0, 8.0), 8.0
    truth = packed(16, 10.0, order="fcc", seed=4)
    taken = jittered(len(angles), jitter_px=1.0, angle_error_deg=0.0, counts=500, seed=1)
    series = tilt_series(truth, angles, diameter, 64, taken)
    monkeypatch.setattr("processing.pipeline.sampling.SMALL_SIDE_PX", 50)
    monkeypatch.setattr("processing.image_size.USUAL_SIDE_PX", 40)
    result = process_series(series, ProcessSettings(analysis=False))
    sampling = result.summary.sampling
    assert sampling is not None and sampling.bin == 1
    assert result.diameter.value == pytest.approx(diameter, rel=0.03)
    assert result.detection.count.n == len(truth)


def faulty_field() -> TiltSeries:
    """Ten images of an assembly with stuck pixels, in whole counts as a file stores them."""
    y, x = np.mgrid[:500, :560]
    images = np.random.default_rng(6).normal(20, 2, (10, 500, 560))
    images[:, np.hypot(x - 300, y - 250) < 80] += 100
    images[:, 123, 77] = 900
    return replace(
        series_of(*np.rint(images).astype(np.uint16)), angles_deg=np.linspace(-60, 60, 10)
    )


def test_a_finer_bin_is_read_again_from_the_repaired_images() -> None:
    series = faulty_field()
    sound = np.rint(series.images).astype(np.float32)
    sound[:, 123, 77] = sound[:, 123, 78]
    prepared = prepare_field(series, ProcessSettings())
    assert prepared.field.bin == 2
    sampling = Sampling(recorded_px=(560, 500), crop_px=(7, 13, 301, 402), bin=1)
    fine = prepared.at(sampling).series
    assert fine.pixel_nm == pytest.approx(series.pixel_nm)
    assert np.abs(fine.images - sound[:, 13:415, 7:308]).max() < 15
    assert any("1 stuck pixel" in note for note in fine.notes)


def test_the_region_is_taken_from_the_field_that_was_read() -> None:
    series = faulty_field()
    prepared = prepare_field(series, ProcessSettings())
    sampling = choose_sampling(prepared.overview, prepared.field, ProcessSettings(bin=4))
    small = prepared.at(sampling).series
    x, y, width, height = sampling.crop_px
    direct = block_mean(series.images[3, y : y + height, x : x + width], 4)
    np.testing.assert_allclose(small.images[3], direct, atol=60)
    np.testing.assert_allclose(np.median(small.images[3] - direct), 0, atol=1e-3)


@pytest.mark.parametrize("quarter_turns", [-3, -1, 0, 1, 2, 3, 4])
def test_a_sampling_is_turned_with_its_images(quarter_turns: int) -> None:
    image = np.arange(40.0 * 60).reshape(1, 40, 60).astype(np.float32)
    series = TiltSeries(image, np.zeros(1), 1.0)
    sampling = Sampling(recorded_px=(60, 40), crop_px=(3, 8, 24, 12), bin=2)
    turned_image = np.rot90(image, quarter_turns, axes=(1, 2))
    found = sampled(replace(series, images=turned_image), turned(sampling, quarter_turns)).images
    expected = np.rot90(sampled(series, sampling).images, quarter_turns, axes=(1, 2))
    np.testing.assert_allclose(found, expected)
