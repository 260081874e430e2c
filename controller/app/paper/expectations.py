"""Findings of the paper, as statements that an outcome can contradict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.app.paper.experiments import (
    BLURRED,
    DOSE_SHARES,
    MAIN,
    OTHER_SEEDS,
    PARALLEL,
    QUICK_MAIN,
    SEEDS,
    TILT_STEPS_DEG,
    USUAL,
    WITHOUT_FLAT_SIDE,
    MainExperiments,
)
from controller.app.paper.outcome import CountOutcome, Outcome
from controller.model.count_verdict import Trust
from controller.rehearsal.accuracy_checks import EXIT_THIRD

Outcomes = Mapping[str, Outcome]
Floats = NDArray[np.float64]
COUNTED = ("A", "B", "fused")
FEWEST = (*tuple(TILT_STEPS_DEG)[-1:], *tuple(DOSE_SHARES)[-1:])
"""Experiments with the fewest tilts and with the lowest dose."""
BROKEN = 0.99
"""Recall below which a count is broken."""


@dataclass(frozen=True)
class Expectation:
    """Statement about experiments, and its test.

    Attributes
    ----------
    says
        The statement.
    needs
        Names of the experiments.
    holds
        True if the outcomes agree with the statement.
    figures
        The figures it rests on, for people.
    """

    says: str
    needs: tuple[str, ...]
    holds: Callable[[Outcomes], bool]
    figures: Callable[[Outcomes], str]


def count_of(outcomes: Outcomes, name: str, which: str = "fused") -> CountOutcome:
    """Return a count of an experiment.

    Raises
    ------
    KeyError
        The count could not be made.
    """
    return outcomes[name].counts[which]


def _recall(outcomes: Outcomes, name: str, which: str) -> float:
    return count_of(outcomes, name, which).score.recall


def _exit_loss(outcomes: Outcomes, name: str, which: str) -> float:
    """Return how much recall a series loses from its entrance third to its exit third."""
    depth = count_of(outcomes, name, which).score.recall_by_depth
    exit_third = EXIT_THIRD[which]
    return depth[2 - exit_third] - depth[exit_third]


def _rms_nm(outcomes: Outcomes, name: str, which: str = "fused") -> float:
    """Return the rms position error over all axes (nm)."""
    axes = count_of(outcomes, name, which).score.rms_nm or (float("inf"),) * 3
    return float(sum(axis**2 for axis in axes) ** 0.5)


def _resolution_nm(outcomes: Outcomes, name: str) -> dict[str, float]:
    """Return the resolution of A, B and both by Fourier shell correlation (nm)."""
    return {which: outcomes[name].resolution_nm[which] for which in COUNTED}


def _resolution_is_worse(outcomes: Outcomes, name: str, than: str) -> bool:
    first, second = (_resolution_nm(outcomes, each) for each in (name, than))
    return all(first[which] > second[which] for which in COUNTED)


def _resolutions(outcomes: Outcomes, name: str) -> str:
    found = _resolution_nm(outcomes, name)
    return ", ".join(f"{which} {found[which]:.2f}" for which in COUNTED)


def _shrinkage(outcomes: Outcomes, name: str) -> float:
    """Return the shrinkage from A to B (%); 0 if it is not known."""
    return 100 * (outcomes[name].shrinkage or 0.0)


def _recalls(outcomes: Outcomes, name: str) -> str:
    return ", ".join(f"{which} {_recall(outcomes, name, which):.4f}" for which in COUNTED)


def _recalls_of(outcomes: Outcomes, names: Iterable[str]) -> str:
    return "; ".join(_recalls(outcomes, name) for name in names)


def _both_find_more(outcomes: Outcomes, name: str) -> bool:
    a, b, fused = (_recall(outcomes, name, which) for which in COUNTED)
    return fused > max(a, b)


def _a_minus_b(outcomes: Outcomes, names: Iterable[str]) -> Floats:
    """Return the recall of A minus that of B for each experiment, [n]."""
    return np.array([_recall(outcomes, name, "A") - _recall(outcomes, name, "B") for name in names])


def _lead_by_flat_side(outcomes: Outcomes) -> Floats:
    """Return what the flat side adds to the recall of A minus that of B, [n]."""
    return _a_minus_b(outcomes, BLURRED) - _a_minus_b(outcomes, WITHOUT_FLAT_SIDE)


def _mean_recall(outcomes: Outcomes, names: Iterable[str]) -> float:
    """Return the recall of single series, averaged over experiments."""
    return float(np.mean([_recall(outcomes, name, which) for name in names for which in "AB"]))


def _standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _is_positive(values: Floats) -> bool:
    """Tell whether the mean is more than two standard errors above 0."""
    return float(values.mean()) > 2 * _standard_error(values)


def _average(values: Floats) -> str:
    """Return mean, standard error and single values for people."""
    each = ", ".join(f"{value:+.4f}" for value in values)
    return f"{values.mean():+.4f} ± {_standard_error(values):.4f} (by seed: {each})"


def _breaks(outcomes: Outcomes, name: str) -> bool:
    """Tell whether both series together miss particles, or have no count."""
    fused = outcomes[name].counts.get("fused")
    return fused is None or fused.verdict is Trust.REFUSED or fused.score.recall < BROKEN


def _recall_or_refused(outcomes: Outcomes, name: str) -> str:
    fused = outcomes[name].counts.get("fused")
    if fused is None or fused.verdict is Trust.REFUSED:
        return "refused"
    return f"{fused.score.recall:.4f}"


def _main_findings(main: MainExperiments) -> tuple[Expectation, ...]:
    """Return what the main experiments are expected to show, but for that without a shower."""
    usual, narrow, one_series = main.usual, main.narrow, main.one_series
    return (
        Expectation(
            "both series together find more particles than either alone (Fig. 5: 7116, 6988, 6092)",
            (usual,),
            lambda o: _both_find_more(o, usual),
            lambda o: f"recall {_recalls(o, usual)}",
        ),
        Expectation(
            "series A finds more than B in the first specimen (Fig. 5)",
            (usual,),
            lambda o: _recall(o, usual, "A") > _recall(o, usual, "B"),
            lambda o: f"recall {_recalls(o, usual)}",
        ),
        Expectation(
            "each series misses particles on the side where its beam leaves (Fig. 4)",
            (usual,),
            lambda o: all(_exit_loss(o, usual, which) > 0.01 for which in ("A", "B")),
            lambda o: (
                "recall lost from entrance to exit third: "
                + ", ".join(f"{which} {_exit_loss(o, usual, which):.3f}" for which in ("A", "B"))
            ),
        ),
        Expectation(
            "a narrow beam does not cure it: with 1.5 mrad A still misses particles there (Fig. 6)",
            (narrow,),
            lambda o: _exit_loss(o, narrow, "A") > 0.01,
            lambda o: (
                f"recall lost by A from entrance to exit third: {_exit_loss(o, narrow, 'A'):.3f}"
            ),
        ),
        Expectation(
            "with 1.5 mrad the image is less sharp overall (Fig. 8): positions are less exact",
            (usual, narrow),
            lambda o: _rms_nm(o, narrow) > _rms_nm(o, usual),
            lambda o: f"rms error {_rms_nm(o, narrow):.3f} against {_rms_nm(o, usual):.3f} nm",
        ),
        Expectation(
            "and the resolution of the volumes (Fourier shell correlation) is worse",
            (usual, narrow),
            lambda o: _resolution_is_worse(o, narrow, than=usual),
            lambda o: f"nm: {_resolutions(o, narrow)} against {_resolutions(o, usual)}",
        ),
        Expectation(
            "one series of twice the dose does not replace the second series",
            (usual, one_series),
            lambda o: _recall(o, one_series, "A") < _recall(o, usual, "fused"),
            lambda o: (
                f"recall {_recall(o, one_series, 'A'):.4f} against {_recall(o, usual, 'fused'):.4f}"
            ),
        ),
    )


def _shower_findings(usual: str, no_shower: str) -> tuple[Expectation, ...]:
    """Return what a recording without the beam shower is expected to show."""
    return (
        Expectation(
            "without the beam shower the specimen shrinks during the recording",
            (usual, no_shower),
            lambda o: _shrinkage(o, no_shower) > _shrinkage(o, usual) + 0.1,
            lambda o: (
                f"from A to B by {_shrinkage(o, no_shower):.2f} % "
                f"against {_shrinkage(o, usual):.2f} %"
            ),
        ),
        Expectation(
            "and the shrinkage costs exactness of the positions",
            (usual, no_shower),
            lambda o: _rms_nm(o, no_shower) > _rms_nm(o, usual),
            lambda o: f"rms error {_rms_nm(o, no_shower):.3f} against {_rms_nm(o, usual):.3f} nm",
        ),
    )


EXPECTATIONS = (
    *_main_findings(MAIN),
    *_shower_findings(MAIN.usual, MAIN.no_shower),
    *_main_findings(QUICK_MAIN),
    Expectation(
        "the in-plane angle does not matter for the count",
        (USUAL, PARALLEL),
        lambda o: abs(_recall(o, PARALLEL, "fused") - _recall(o, USUAL, "fused")) < 0.001,
        lambda o: (
            f"recall {_recall(o, PARALLEL, 'fused'):.4f} at 0 degrees, "
            f"{_recall(o, USUAL, 'fused'):.4f} at 90; rms error {_rms_nm(o, PARALLEL):.3f} and "
            f"{_rms_nm(o, USUAL):.3f} nm"
        ),
    ),
    Expectation(
        "with other seeds, too, both series together find more particles than either alone",
        tuple(OTHER_SEEDS),
        lambda o: all(_both_find_more(o, name) for name in OTHER_SEEDS),
        lambda o: _recalls_of(o, OTHER_SEEDS),
    ),
    Expectation(
        "series A finds more than B on average over all seeds, by more than two standard errors",
        tuple(SEEDS),
        lambda o: _is_positive(_a_minus_b(o, SEEDS)),
        lambda o: f"recall of A minus that of B: {_average(_a_minus_b(o, SEEDS))}",
    ),
    Expectation(
        "where single series miss as many particles as in the paper, A finds more than B on "
        "average, by more than two standard errors",
        tuple(BLURRED),
        lambda o: _is_positive(_a_minus_b(o, BLURRED)),
        lambda o: (
            f"recall of A and B {_mean_recall(o, BLURRED):.3f}; of A minus that of B: "
            f"{_average(_a_minus_b(o, BLURRED))}"
        ),
    ),
    Expectation(
        "the flat side is the reason: the same specimens as whole spheres give A a smaller lead, "
        "by more than two standard errors",
        (*BLURRED, *WITHOUT_FLAT_SIDE),
        lambda o: _is_positive(_lead_by_flat_side(o)),
        lambda o: (
            f"recall of A minus that of B of whole spheres: "
            f"{_average(_a_minus_b(o, WITHOUT_FLAT_SIDE))}; the flat side adds "
            f"{_average(_lead_by_flat_side(o))}"
        ),
    ),
    Expectation(
        f"the count of both series breaks (recall under {BROKEN:g}, or refused) with the fewest "
        "tilts and with the lowest dose",
        FEWEST,
        lambda o: all(_breaks(o, name) for name in FEWEST),
        lambda o: "; ".join(
            f"{name}: {_recall_or_refused(o, name)}"
            for name in (*TILT_STEPS_DEG, *DOSE_SHARES)
            if name in o
        ),
    ),
    Expectation(
        "every trusted count has the true number in its interval, in all experiments",
        (),
        lambda o: not _trusted_and_wrong(o),
        lambda o: ", ".join(_trusted_and_wrong(o)) or "none is wrong",
    ),
)


def _trusted_and_wrong(outcomes: Outcomes) -> list[str]:
    return [
        f"{name}: {which} {count.n}"
        for name, outcome in outcomes.items()
        for which, count in outcome.counts.items()
        if count.verdict is Trust.TRUSTED and not count.holds(outcome.truth)
    ]
