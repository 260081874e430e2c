"""Verdicts: right counts are trusted, counts of what does not fit are doubtful or refused."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.app.cli import process
from controller.common.exit_codes import ExitCode
from processing import ProcessingError, ProcessSettings, Summary, process_series, write_images
from processing.files.rawtlt import write_rawtlt
from processing.pipeline.fitness import Fitness
from processing.pipeline.verdict import beyond_places, judge, with_verdict, wrong_share
from processing.results import Cause, Count, Trust
from tests.wrong_inputs.kinds import KINDS
from tests.wrong_inputs.record import Sample


@dataclass(frozen=True)
class Case:
    name: str
    fitness: Fitness
    state: Trust = Trust.DOUBTFUL
    causes: tuple[Cause, ...] = ()
    doubts: tuple[str, ...] = field(default=())
    several_sizes: tuple[str, ...] = ()


CASES = [
    Case("nothing odd", Fitness(unexplained=0.01, step=1.0, exit_blur=0.1), Trust.TRUSTED),
    Case("noise", Fitness(noise_share=0.97), Trust.REFUSED, (Cause.NOISE,)),
    Case("half noise", Fitness(noise_share=0.7), causes=(Cause.NOISE,)),
    Case("no spheres", Fitness(unexplained=0.6), Trust.REFUSED, (Cause.NOT_SPHERES,)),
    Case("rods", Fitness(too_close=0.55), Trust.REFUSED, (Cause.MERGED,)),
    Case("two sizes", Fitness(ambiguous=0.6), causes=(Cause.SEVERAL_SIZES,)),
    Case("angles", Fitness(tilt_error_deg=3.0), causes=(Cause.ANGLES,)),
    Case("one bad image", Fitness(worst_view=0.5), causes=(Cause.ALIGNMENT,)),
    Case("thick, one series", Fitness(exit_blur=0.5), causes=(Cause.EXIT_SIDE,)),
    Case("uncertain places", Fitness(misplaced=0.02), causes=(Cause.UNDERSAMPLED,)),
    Case("coarse tilts, a good fit", Fitness(step=1.7), causes=(Cause.UNDERSAMPLED,)),
    Case("few tilts", Fitness(step=5.0), causes=(Cause.UNDERSAMPLED,)),
    Case("a narrow range", Fitness(missing_range_deg=120.0), causes=(Cause.UNDERSAMPLED,)),
    Case("two magnifications in one series", Fitness(size_change=0.1), causes=(Cause.INPUT,)),
    Case("shrunk by the beam", Fitness(size_change=0.04), Trust.TRUSTED),
    Case("cut by the field", Fitness(at_edge=0.1), causes=(Cause.INPUT,)),
    Case("odd input", Fitness(), causes=(Cause.INPUT,), doubts=("two sources disagree",)),
    Case(
        "weaker objects",  # no doubt about the input, which a count of both series would take over
        Fitness(),
        causes=(Cause.SEVERAL_SIZES,),
        several_sizes=("9 weaker objects",),
    ),
    # the same misfit is trusted with close tilts and doubtful with coarse ones
    Case("a small misfit, close tilts", Fitness(ambiguous=0.09, step=1.0), Trust.TRUSTED),
    Case("a small misfit", Fitness(ambiguous=0.09, step=1.8), causes=(Cause.UNDERSAMPLED,)),
    Case(
        "weaker spheres, both series in coarse tilts",
        Fitness(ambiguous=0.042, beside_places=0.042, step=1.28),
        causes=(Cause.UNDERSAMPLED,),
    ),
    Case(
        "hardly any weaker spheres, both series in coarse tilts",
        Fitness(ambiguous=0.003, beside_places=0.003, step=1.28),
        Trust.TRUSTED,
    ),
    Case(
        "the gravest reason first",
        Fitness(unexplained=0.1, too_close=0.9),
        Trust.REFUSED,
        (Cause.MERGED, Cause.NOT_SPHERES),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_figures_of_a_fit_decide(case: Case) -> None:
    verdict = judge(case.fitness, case.doubts, several_sizes=case.several_sizes)
    assert (verdict.state, verdict.causes) == (case.state, case.causes)
    assert len(verdict.reasons) == len(verdict.causes)
    assert not any("\n" in reason for reason in verdict.reasons)


def test_a_doubtful_count_has_a_wider_interval() -> None:
    count, fitness = Count(n=100, n_low=99, n_high=101), Fitness(ambiguous=0.3)
    verdict = judge(fitness)
    doubtful = with_verdict(count, verdict, wrong_share(fitness, verdict))
    assert (doubtful.n, doubtful.n_low, doubtful.n_high) == (100, 69, 131)
    assert wrong_share(Fitness(ambiguous=0.1), judge(Fitness())) == 0


def test_confidences_are_lowered_by_what_exceeds_its_limit_and_places_do_not_hold() -> None:
    thick = Fitness(ambiguous=0.153, exit_blur=0.47, misplaced=0.016)
    two_sizes = Fitness(ambiguous=0.153, ambiguous_at_entrance=0.16)
    rods = Fitness(too_close=0.65)
    coarse = Fitness(too_close=0.11, misplaced=0.4)
    five_tilts = Fitness(ambiguous=2.2, ambiguous_at_entrance=2.4, misplaced=0.4)
    kinds = thick, two_sizes, rods, coarse, five_tilts
    assert [beyond_places(one, judge(one)) for one in kinds] == [0, 0.153, 0.65, 0, 0.6]


SETTINGS = ProcessSettings(analysis=False)
"""Nothing here depends on the standard errors of the positions."""


def sample(name: str) -> Sample:
    """Make the input of a kind in docs/wrong-inputs.md."""
    return next(kind for kind in KINDS if kind.name == name).make()


def test_many_sizes_are_doubtful() -> None:
    series = sample("sizes from 4 to 8 nm").series[0]
    table = process_series(series, SETTINGS).detection
    verdict = table.count.verdict
    assert verdict is not None
    assert verdict.state is Trust.DOUBTFUL
    assert Cause.SEVERAL_SIZES in verdict.causes
    assert table.fitness is not None and table.fitness.ambiguous > 0.2
    assert table.table.confidence.max() <= 1 - table.fitness.ambiguous


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("no tilts within 42 degrees", "the tilts leave out 132 of 180 degrees"),
        ("first half at 1.1 times the magnification", "check that its images have one pixel size"),
    ],
)
def test_right_counts_of_odd_series_are_doubtful(kind: str, reason: str) -> None:
    verdict = process_series(sample(kind).series[0], SETTINGS).detection.count.verdict
    assert verdict is not None
    assert verdict.state is Trust.DOUBTFUL
    assert any(reason in line for line in verdict.reasons)


def test_many_tiny_particles_beside_a_few_large_ones_are_noticed() -> None:
    series = sample("few large, many tiny").series[0]
    verdict = process_series(series, SETTINGS).detection.count.verdict
    assert verdict is not None
    assert verdict.causes == (Cause.SEVERAL_SIZES,)


def test_less_than_half_a_particle_in_a_wrong_place_is_no_doubt() -> None:
    """Each of these scattered spheres has a chance of 2 % of a wrong place."""
    series = sample("twenty spheres apart").series[0]
    count = process_series(series, SETTINGS).detection.count
    assert count.verdict is not None
    assert (count.n, count.verdict.state) == (20, Trust.TRUSTED)
    assert count.n_low < 20 < count.n_high


@pytest.mark.parametrize(
    ("diameter_nm", "message"),
    [
        (2.0, r"A: \d+ candidates .* they show noise"),
        (None, r"A: what repeats in the images is 1\.\d pixels wide: noise, or wrong pixels"),
    ],
)
def test_noise_stops_with_one_line(diameter_nm: float | None, message: str) -> None:
    series = sample("noise alone").series[0]
    with pytest.raises(ProcessingError, match=message) as error:
        process_series(series, ProcessSettings(diameter_nm=diameter_nm, analysis=False))
    assert "\n" not in str(error.value)


def test_process_refuses_rods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = sample("nine rods").series[0]
    write_images(tmp_path / "A.mrc", series.images, series.pixel_nm)
    write_rawtlt(tmp_path / "A.rawtlt", series.angles_deg)
    parser = argparse.ArgumentParser()
    process.add_arguments(parser)
    args = parser.parse_args([str(tmp_path / "A.mrc"), "--out", str(tmp_path / "out")])
    assert process.run(args) == ExitCode.SAFETY
    assert capsys.readouterr().out.splitlines()[-1].startswith("refused: do not use the count")
    summary = Summary.model_validate_json((tmp_path / "out/processed/summary.json").read_text())
    assert summary.verdict is not None
    assert summary.verdict.state is Trust.REFUSED
    assert summary.counts.A.verdict == summary.verdict
    assert "COUNT REFUSED" in (tmp_path / "out/report.html").read_text()


def test_places_that_the_images_leave_open_are_told_in_plain_words() -> None:
    reasons = judge(Fitness(misplaced=0.019)).reasons
    assert reasons == ("1.9% of the particles may have wrong positions",)
