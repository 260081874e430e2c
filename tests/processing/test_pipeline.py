"""From tilt series to tables on disk: one series, two series, and refused input."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing import (
    ImpossibleDiameterError,
    InputFileError,
    ParticleTable,
    ProcessingError,
    ProcessSettings,
    RegistrationRefusedError,
    SeriesResult,
    Summary,
    combine_series,
    process_series,
    read_csv,
    read_series_result,
    read_stack,
    write_fused_result,
    write_series_result,
    write_summary,
)
from processing.combine.pose import FLIP, Pose, about_z
from processing.pipeline.dual import FusedResult
from processing.pipeline.suspect_angles import with_suspected_angles
from processing.results import Cause, FusionRule, Trust, Verdict
from tests.support.spheres import Recording, jittered, packed, tilt_series

DIAMETER = 6.5
SIZE = 64
A_ANGLES = np.arange(-70.0, 75.0, 4.0)
B_ANGLES = np.arange(-74.0, 73.0, 4.0)
SETTINGS = ProcessSettings(controls=True)
BARE = ProcessSettings(analysis=False)
"""For what does not depend on the standard errors of the positions."""
TO_B = Pose(about_z(37.0) @ FLIP, np.array([1.5, -2.0, 1.0]))


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    points = packed(22, 8.0, order="fcc", seed=9) + np.array([1.1, -0.7, 0.4])
    points = points + np.random.default_rng(9).normal(0, 0.15, points.shape)
    return points[points[:, 2] < 17]


def recording(angles: np.ndarray, seed: int) -> Recording:
    return jittered(len(angles), jitter_px=1.5, angle_error_deg=0.1, counts=500, seed=seed)


@pytest.fixture(scope="module")
def a(truth: np.ndarray) -> SeriesResult:
    series = tilt_series(truth, A_ANGLES, DIAMETER, SIZE, recording(A_ANGLES, 1))
    return process_series(series, SETTINGS)


@pytest.fixture(scope="module")
def b(truth: np.ndarray) -> SeriesResult:
    series = tilt_series(TO_B.apply(truth), B_ANGLES, DIAMETER, SIZE, recording(B_ANGLES, 2))
    return process_series(series, SETTINGS)


@dataclass(frozen=True)
class Combined:
    folder: Path
    series: tuple[SeriesResult, SeriesResult]
    """Results of A and B, read back."""
    fused: FusedResult
    summary: Summary


@pytest.fixture(scope="module")
def combined(
    a: SeriesResult, b: SeriesResult, tmp_path_factory: pytest.TempPathFactory
) -> Combined:
    """Combine both series with all controls, from files: each step can run in its own process."""
    folder = tmp_path_factory.mktemp("combined")
    write_series_result(folder, "A", a)
    write_series_result(folder, "B", b)
    series = (read_series_result(folder, "A"), read_series_result(folder, "B"))
    fused = combine_series(*series, SETTINGS)
    write_fused_result(folder, fused)
    return Combined(folder, series, fused, write_summary(folder, *series, fused))


def without_errors(result: SeriesResult) -> SeriesResult:
    """Return what processing without the analysis gives; to combine it takes half the time."""
    table = result.detection.table
    bare = replace(table, centre_se_nm=np.full_like(table.centre_se_nm, np.nan))
    return replace(result, detection=replace(result.detection, table=bare))


def recall_and_precision(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Recall and precision within 1.5 px, after a common shift, which no tilt series can show."""
    found = found + np.median(truth[cKDTree(truth).query(found)[1]] - found, axis=0)
    return (
        float((cKDTree(found).query(truth)[0] < 1.5).mean()),
        float((cKDTree(truth).query(found)[0] < 1.5).mean()),
    )


def test_one_series_is_counted(a: SeriesResult, truth: np.ndarray) -> None:
    recall, precision = recall_and_precision(a.detection.table.centres_nm, truth)
    assert recall > 0.97
    assert precision > 0.97
    assert a.diameter.source == "estimated"
    assert a.diameter.value == pytest.approx(DIAMETER, rel=0.02)
    assert a.detection.count.n_low <= len(truth) <= a.detection.count.n_high
    assert a.detection.count.verdict == Verdict(state=Trust.TRUSTED)


def test_two_series_are_combined_in_the_frame_of_a(combined: Combined, truth: np.ndarray) -> None:
    folder, summary = combined.folder, combined.summary
    processed = folder / "processed"
    for name in ("B", "fused", "mean"):
        table = read_csv(processed / f"particles_{name}.csv")
        recall, precision = recall_and_precision(table.centres_nm, truth)
        assert min(recall, precision) > 0.97, name
    assert summary == Summary.model_validate_json((processed / "summary.json").read_text())
    assert summary.counts.fused is not None
    assert summary.counts.fused.n_low <= len(truth) <= summary.counts.fused.n_high
    assert summary.verdict == summary.counts.fused.verdict == Verdict(state=Trust.TRUSTED)
    assert summary.registration is not None
    np.testing.assert_allclose(summary.registration.matrix, TO_B.matrix.T, atol=0.01)
    assert summary.registration.in_plane_deg == pytest.approx(37.0, abs=0.5)
    assert all((folder / file).exists() for file in summary.files.values())
    for role in ("A_aligned", "A_sirt", "A_ssr", "B_registered", "fused", "fused_ssr"):
        stack = read_stack(processed / f"{role}.mrc")
        assert stack.pixel_nm == pytest.approx(1.0)
        assert np.isfinite(stack.data).all()


def test_a_series_result_is_read_back_unchanged(a: SeriesResult, tmp_path: Path) -> None:
    write_series_result(tmp_path, "A", a)
    back = read_series_result(tmp_path, "A")
    np.testing.assert_array_equal(back.volume, a.volume)
    np.testing.assert_array_equal(back.aligned.images, a.aligned.images)
    np.testing.assert_allclose(back.aligned.angles_deg, a.aligned.angles_deg)
    np.testing.assert_allclose(
        back.detection.table.centres_nm, a.detection.table.centres_nm, atol=1e-3
    )
    assert (back.summary, back.diameter) == (a.summary, a.diameter)


@pytest.mark.parametrize("left", ["nothing", "no record", "half a record"])
def test_an_incomplete_result_is_not_read(left: str, a: SeriesResult, tmp_path: Path) -> None:
    if left != "nothing":
        write_series_result(tmp_path, "A", a)
        record = tmp_path / "processed" / "A.json"
        text = record.read_text()
        record.unlink()
        if left == "half a record":
            record.write_text(text[: len(text) // 2])
    with pytest.raises(InputFileError, match=r"A\.json: .*process this series"):
        read_series_result(tmp_path, "A")


def test_the_same_series_as_b_is_refused(a: SeriesResult) -> None:
    with pytest.raises(RegistrationRefusedError, match="same side up"):
        combine_series(a, a, SETTINGS)


def with_opposite_sense(result: SeriesResult, *, known: bool) -> SeriesResult:
    """Return what the same images with the opposite tilt angles give."""
    table = result.detection.table
    mirrored = replace(table, centres_nm=table.centres_nm * [1, 1, -1])
    return replace(
        result,
        aligned=replace(result.aligned, angles_deg=-result.aligned.angles_deg, sense_known=known),
        volume=result.volume[::-1],
        detection=replace(result.detection, table=mirrored),
    )


def test_a_sense_that_nobody_knew_is_told_by_the_other_series(
    a: SeriesResult, b: SeriesResult, truth: np.ndarray
) -> None:
    opposite = with_opposite_sense(without_errors(b), known=False)
    fused = combine_series(without_errors(a), opposite, BARE)
    recall, precision = recall_and_precision(fused.detection.table.centres_nm, truth)
    assert min(recall, precision) > 0.97
    (line,) = fused.warnings
    assert "opposite tilt sense" in line


def test_a_given_sense_that_does_not_fit_is_named(a: SeriesResult, b: SeriesResult) -> None:
    with pytest.raises(
        RegistrationRefusedError, match=r"tilt angles of one series have the wrong sign"
    ):
        combine_series(a, with_opposite_sense(b, known=True), SETTINGS)


def test_tilts_too_far_apart_are_named_where_b_fits_in_no_pose(
    a: SeriesResult, b: SeriesResult
) -> None:
    step = "one tilt step moves the object's rim by 2.7 particle diameters"
    verdict = Verdict(state=Trust.DOUBTFUL, reasons=(step,), causes=(Cause.UNDERSAMPLED,))
    table = replace(b.detection.table, centres_nm=b.detection.table.centres_nm[::-1] * [1, 1.4, 1])
    count = b.detection.count.model_copy(update={"verdict": verdict})
    detection = replace(b.detection, table=table, count=count)
    coarse = replace(b, aligned=replace(b.aligned, name="B"), detection=detection)
    with pytest.raises(RegistrationRefusedError, match=rf"undersampled \(series B: {step}"):
        combine_series(a, coarse, SETTINGS)
    # wrong angles put particles in wrong places, and look like coarse steps
    angles = "series B: the images fit tilt angles about 2 times as large"
    wrong = replace(coarse, aligned=replace(coarse.aligned, angle_reasons=(angles,)))
    with pytest.raises(RegistrationRefusedError, match=rf"wrong \({angles}\).*--angles$"):
        combine_series(a, wrong, SETTINGS)


ANGLES_LINE = "series A: the images fit tilt angles about 2 times as large; check them"


@pytest.mark.parametrize(
    ("state", "doubted"), [(Trust.TRUSTED, False), (Trust.DOUBTFUL, False), (Trust.DOUBTFUL, True)]
)
def test_wrong_angles_are_the_first_reason_of_a_doubtful_count(
    a: SeriesResult, state: Trust, doubted: bool
) -> None:
    lines = (("overlap", Cause.MERGED), ("coarse", Cause.UNDERSAMPLED), ("off", Cause.ANGLES))
    said = (ANGLES_LINE, Cause.INPUT if doubted else Cause.ANGLES)
    given = (*lines, said) if doubted else lines
    reasons, causes = zip(*given, strict=True)
    verdict = Verdict(state=state, reasons=reasons, causes=causes)
    count = a.detection.count.model_copy(update={"verdict": verdict})
    told = with_suspected_angles(replace(a.detection, count=count), (ANGLES_LINE,)).count.verdict
    expected = lines if state is Trust.TRUSTED else (said, lines[2], *lines[:2])
    assert told is not None and told.state is state
    assert tuple(zip(told.reasons, told.causes, strict=True)) == expected


def test_more_particles_than_the_field_can_hold_are_not_registered(
    a: SeriesResult, b: SeriesResult
) -> None:
    points = np.random.default_rng(0).uniform(-30, 30, (2000, 3))
    table = ParticleTable(points, np.full(2000, DIAMETER), np.ones(2000))
    crowded = replace(b, detection=replace(b.detection, table=table))
    with pytest.raises(RegistrationRefusedError, match=r"2000 particles .* at most"):
        combine_series(a, crowded, SETTINGS)


@pytest.mark.parametrize(
    ("given_nm", "is_doubted"),
    [(6.2, False), (5.6, True), (7.0, True)],
    ids=["right", "-10%", "+11%"],
)
def test_a_given_diameter_is_used_and_compared_with_the_images(
    given_nm: float, is_doubted: bool, truth: np.ndarray
) -> None:
    series = tilt_series(truth, A_ANGLES, DIAMETER, SIZE)
    result = process_series(series, ProcessSettings(diameter_nm=given_nm, analysis=False))
    said = [line for line in result.warnings if "but the images show" in line]
    assert len(said) == is_doubted
    if said:
        shown_nm = float(said[0].split("the images show ")[1].split(" nm")[0])
        assert shown_nm == pytest.approx(DIAMETER, rel=0.03)
    assert result.diameter.value == given_nm
    assert result.diameter.source == "given"
    assert result.detection.table.diameter_nm.mean() == pytest.approx(given_nm)
    assert result.diameter.mean == pytest.approx(given_nm)


@pytest.mark.parametrize("given_nm", [1.9, 33.0], ids=["under two pixels", "over half the field"])
def test_an_impossible_diameter_is_refused(given_nm: float, a: SeriesResult) -> None:
    with pytest.raises(ImpossibleDiameterError, match=r"series A: .* 2 to 32 nm"):
        process_series(a.aligned, ProcessSettings(diameter_nm=given_nm))


@pytest.mark.parametrize("number", [1, 6])
def test_a_few_particles_are_counted(number: int) -> None:
    points = np.array(
        [[0, 0, 0], [12, 1, 2], [-4, 12, 1], [3, -6, 13], [9, 9, -8], [-10, 2, -6.0]]
    )[:number]
    taken = recording(A_ANGLES, 3)
    result = process_series(tilt_series(points, A_ANGLES, 8.0, 56, taken), BARE)
    assert result.detection.count.n == number


def test_the_fusion_settings_are_used_and_recorded(a: SeriesResult, b: SeriesResult) -> None:
    settings = BARE.model_copy(update={"fusion_rule": FusionRule.PAPER, "level": 1})
    fused = combine_series(without_errors(a), without_errors(b), settings)
    assert json.loads(fused.fusion.model_dump_json()) == {
        "rule": "paper",
        "wavelet": "haar",
        "level": 1,
    }
    assert not fused.controls


def test_only_the_controls_asked_for_are_counted(combined: Combined) -> None:
    """One is the rule of the fused volume itself."""
    rules = (FusionRule.MASKED, FusionRule.MEAN)
    a, b = (without_errors(result) for result in combined.series)
    some = combine_series(a, b, BARE.model_copy(update={"controls": rules})).controls
    assert {rule: control.count for rule, control in some.items()} == {
        rule: combined.fused.controls[rule].count for rule in rules
    }


def test_volumes_beyond_the_memory_limit_are_refused_at_once(
    a: SeriesResult, b: SeriesResult
) -> None:
    tight = ProcessSettings(memory_limit_GB=1e-3)
    with pytest.raises(ProcessingError, match=r"64 x 64 x 64 voxels need .* memory_limit_GB"):
        process_series(a.aligned, tight)
    with pytest.raises(ProcessingError, match="memory_limit_GB"):
        combine_series(a, b, tight)
