"""Structure among the results of a session: where it belongs, and what its failure costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processing import Count, Counts, Diameter, ParticleTable, SeriesSummary, Summary, write_csv
from processing.pipeline import add_structure
from processing.pipeline.add_structure import with_structure
from processing.results import Registration, Trust, Verdict
from processing.structure.tables import STRUCTURE_FILES
from tests.support.spheres import packed

SERIES = SeriesSummary(tilts=71, excluded=[], align_rms_px=0.1, tilt_axis_deg=0.0)
SAME = Registration(
    matrix=np.eye(3).tolist(),
    shift_nm=(0, 0, 0),
    score=1,
    runner_up=0.2,
    in_plane_deg=0,
    seat_tilt_deg=0,
    rms_nm=0.4,
)


def results(
    folder: Path,
    *,
    names: str = "A",
    fused: bool = False,
    state: Trust = Trust.TRUSTED,
    particles: int | None = None,
) -> Summary:
    """Write particle tables and stale files of a structure; return the summary of the results."""
    points = packed(22, 7.7, order="fcc", seed=3)[:particles]
    number = len(points)
    for name in ("A", *(("fused",) if fused else ())):
        table = ParticleTable(points, np.full(number, 6.3), np.ones(number))
        write_csv(folder / f"particles_{name}.csv", table)
    for name in STRUCTURE_FILES:
        (folder / name).write_text("of an earlier run")
    verdict = Verdict(state=state, reasons=("a reason",) * (state is not Trust.TRUSTED))
    count = Count(n=number, n_low=number, n_high=number, verdict=verdict)
    return Summary(
        counts=Counts(A=count, fused=count if fused else None),
        verdict=verdict,
        diameter_nm=Diameter(value=6.3, source="given"),
        series=dict.fromkeys(names, SERIES),  # type: ignore[arg-type]
        registration=SAME if fused else None,
        pixel_nm=1.0,
    )


def test_the_fused_particles_are_analysed_with_the_error_of_the_pairs(tmp_path: Path) -> None:
    found = with_structure(tmp_path, results(tmp_path, names="AB", fused=True)).structure
    assert found is not None and found.source == "fused"
    assert found.position_error_nm == pytest.approx(0.4 / 2 / np.sqrt(3))
    assert found.headline() == "fcc 100 %, 1 grain"
    assert found.model_copy(update={"grains": []}).headline() == "fcc 100 %"
    assert found.model_copy(update={"grains": [], "shares": {}}).headline() == (
        "all particles at the surface"
    )


def test_one_series_alone(tmp_path: Path) -> None:
    found = with_structure(tmp_path, results(tmp_path)).structure
    assert found is not None and found.source == "A"
    assert "scatter" in found.position_error_source


@pytest.mark.parametrize(
    ("names", "state"), [("A", Trust.REFUSED), ("AB", Trust.TRUSTED)], ids=["refused", "no fusion"]
)
def test_no_structure_and_no_files_of_an_earlier_one(
    names: str, state: Trust, tmp_path: Path
) -> None:
    summary = results(tmp_path, names=names, state=state)
    assert with_structure(tmp_path, summary) == summary
    assert not any((tmp_path / name).exists() for name in STRUCTURE_FILES)


def test_a_doubtful_count_makes_a_doubtful_structure(tmp_path: Path) -> None:
    found = with_structure(tmp_path, results(tmp_path, state=Trust.DOUBTFUL)).structure
    assert found is not None
    assert found.notes == ["the count is doubtful, and so is the structure: a reason"]


def test_too_few_particles_are_a_warning(tmp_path: Path) -> None:
    summary = with_structure(tmp_path, results(tmp_path, particles=12))
    assert summary.structure is None
    [warning] = summary.warnings
    assert warning.startswith("structure: not analysed:") and "12 particles" in warning


@pytest.mark.parametrize("error", [RuntimeError("freud\nfailed"), np.linalg.LinAlgError("SVD")])
def test_a_failed_analysis_costs_no_count(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(add_structure, "analyse_results", fail)
    summary = with_structure(tmp_path, results(tmp_path))
    assert summary.structure is None and summary.counts.A.n > 0
    assert len(summary.warnings) == 1 and "\n" not in summary.warnings[0]
