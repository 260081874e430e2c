"""The part of docs/calibration.md about particles of specimens that are left out of the fit.

Two standard errors are given for each tenth: that of independent particles, and that of specimens,
whose particles are in wrong places together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from processing.count.wrong_places import ExitRule, wrong_place_chance
from processing.series import Float64
from simulator.settings import Packing
from tests.calibration.measure import TENTHS
from tests.calibration.page import LEFT_OUT
from tests.calibration.places import BOTH, Judged

TEXT = """
Written by `make calibration-rule` (`python -m tests.calibration.fit`): about 100 minutes of one
core, six where the series are stored. Each specimen is tested by a rule fitted to the others.
Most series have coarse steps, since fine ones have few particles in doubt. The first standard error
is that of independent particles, the second that of specimens, whose particles go wrong together.
Single crystals have shares of wrong places of their own
([0048](decisions/0048-single-crystals-have-shares-of-their-own.md)).
"""

GROUPS: dict[str, Callable[[Judged], bool]] = {
    "One series": lambda one: not one.name.endswith(BOTH),
    "One series of a single crystal": lambda one: not one.name.endswith(BOTH) and one.in_crystal,
    "One series of no single crystal": lambda one: not (one.name.endswith(BOTH) or one.in_crystal),
    "One series of several grains": lambda one: (
        not one.name.endswith(BOTH) and one.specimen.startswith(Packing.MULTI_GRAIN)
    ),
    "One series of a disordered assembly": lambda one: (
        not one.name.endswith(BOTH) and one.specimen.startswith(Packing.DISORDERED)
    ),
    "One series of a crystal with stacking faults": lambda one: (
        not one.name.endswith(BOTH) and one.specimen.startswith(Packing.FAULTED)
    ),
    "Two series": lambda one: one.name.endswith(BOTH),
}
"""Series of each table."""


def left_out_part(measured: Sequence[Judged], rules: Sequence[ExitRule]) -> str:
    """Return the part of the page: tables of tenths, and one of the series.

    Parameters
    ----------
    rules
        [series], the rule that was fitted without the specimen of this series.
    """
    confidences = [one.confidence(rule) for one, rule in zip(measured, rules, strict=True)]
    lines = [LEFT_OUT, TEXT]
    for title, belongs in GROUPS.items():
        of = [number for number, one in enumerate(measured) if belongs(one)]
        if of:
            specimens = len({measured[number].specimen for number in of})
            lines += [f"### {title}: counts {len(of)}, specimens {specimens}", ""]
            group = [measured[n] for n in of], [confidences[n] for n in of]
            lines += [*tenths(*group), "", *_together(joint_chance(*group))]
    lines += [*by_series(measured, rules), ""]
    return "\n".join(lines)


def tenths(measured: Sequence[Judged], confidences: Sequence[Float64]) -> list[str]:
    """Return the table of confidence against truth, pooled over all series."""
    confidence, real = np.concatenate(confidences), np.concatenate([one.real for one in measured])
    tenth = _tenth(confidence)
    sums, _ = _errors(measured, confidences)
    lines = [
        "| confidence | particles | mean confidence | share that is real | difference, points "
        "| standard error: particles, specimens |",
        "|---|---|---|---|---|---|",
    ]
    for number in range(TENTHS):
        of = tenth == number
        if not of.any():
            continue
        error = real[of] - confidence[of]
        mean, n = float(confidence[of].mean()), int(of.sum())
        alone = np.sqrt(mean * (1 - mean) / n)
        together = np.sqrt(np.square(sums[:, number]).sum()) / n
        lines.append(
            f"| {number / TENTHS:.1f} to {(number + 1) / TENTHS:.1f} | {n} | {mean:.3f} "
            f"| {real[of].mean():.3f} | {100 * error.mean():+.1f} "
            f"| {100 * alone:.1f}, {100 * together:.1f} |"
        )
    return lines


def joint_chance(measured: Sequence[Judged], confidences: Sequence[Float64]) -> float | None:
    """Return the chance of differences as large as those of all tenths below 0.9 together.

    That is if the rule is right on average and only specimens scatter, by Hotelling's T-squared
    test of the sums of the errors of each specimen. None with too few specimens for it.
    """
    sums, particles = _errors(measured, confidences)
    in_doubt = particles[:, :-1].any(axis=1)
    errors = sums[in_doubt][:, particles[:, :-1].any(axis=0).nonzero()[0]]
    n, k = errors.shape
    if n <= k + 1:
        return None
    mean = errors.mean(axis=0)
    squared = n * float(mean @ np.linalg.pinv(np.cov(errors.T)) @ mean)
    return float(stats.f.sf(squared * (n - k) / (k * (n - 1)), k, n - k))


def by_series(measured: Sequence[Judged], rules: Sequence[ExitRule]) -> list[str]:
    """Return the table of the mean confidence, and of the interval, of each series."""
    lines = [
        "| series | truth | found | interval | mean confidence | share that is real "
        "| difference, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for one, rule in zip(measured, rules, strict=True):
        mean, share = one.confidence(rule).mean(), one.real.mean()
        count = one.counted(rule)
        holds = count.n_low <= one.truth <= count.n_high
        lines.append(
            f"| {one.name} | {one.truth} | {count.n} "
            f"| {count.n_low} to {count.n_high}{'' if holds else ' (**misses**)'} "
            f"| {mean:.3f} | {share:.3f} | {100 * (share - mean):+.1f} |"
        )
    return lines


def _together(chance: float | None) -> list[str]:
    if chance is None:
        return []
    return [
        "All tenths below 0.9 together: if the rule is right on average and only specimens "
        f"scatter, differences as large as these have a chance of {chance:.0%}.",
        "",
    ]


def _errors(
    measured: Sequence[Judged], confidences: Sequence[Float64]
) -> tuple[Float64, NDArray[np.intp]]:
    """Return real particles less expected ones, and all particles, both [specimen, tenth]."""
    names = sorted({one.specimen for one in measured})
    sums = np.zeros((len(names), TENTHS))
    particles = np.zeros((len(names), TENTHS), np.intp)
    for one, confidence in zip(measured, confidences, strict=True):
        row, tenth = names.index(one.specimen), _tenth(confidence)
        sums[row] += np.bincount(tenth, one.real - confidence, TENTHS)
        particles[row] += np.bincount(tenth, minlength=TENTHS)
    return sums, particles


def _tenth(confidence: Float64) -> NDArray[np.intp]:
    return np.clip((TENTHS * confidence).astype(np.intp), 0, TENTHS - 1)


def count_error(measured: Sequence[Judged], rules: Sequence[ExitRule]) -> float:
    """Return the error of the expected number of wrong places, as a share of it.

    That of specimens: the Poisson variance of the number is subtracted. Series with fewer than ten
    wrong places expected show none.
    """
    excess = []
    for one, rule in zip(measured, rules, strict=True):
        expected = float(wrong_place_chance(one.places, rule).sum())
        wrong = float((~one.real).sum())
        if expected >= 10:
            excess.append(((wrong - expected) ** 2 - expected) / expected**2)
    return float(np.sqrt(max(0.0, float(np.mean(excess))))) if excess else 0.0
