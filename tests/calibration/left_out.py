"""The part of docs/calibration.md about particles of specimens that are left out of the fit.

Two standard errors are given for each tenth: that of independent particles, and that of specimens,
whose particles are in wrong places together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from processing.count.wrong_places import ExitRule, wrong_place_chance
from processing.series import Float64
from simulator.settings import Packing
from tests.calibration.measure import TENTHS
from tests.calibration.page import LEFT_OUT
from tests.calibration.places import BOTH, Judged

TEXT = """
Written by `make calibration-rule` (`python -m tests.calibration.fit`): two hours of one core, a
minute where the series are stored. Each specimen is tested by a rule that was fitted to the others.
Most series have coarse steps, since fine ones have few particles in doubt. The first standard error
is that of independent particles, the second that of specimens, whose particles go wrong together.
"""

GROUPS: dict[str, Callable[[Judged], bool]] = {
    "One series": lambda one: not one.name.endswith(BOTH),
    "One series of a single crystal": lambda one: not one.name.endswith(BOTH) and one.in_crystal,
    "One series of no single crystal": lambda one: not (one.name.endswith(BOTH) or one.in_crystal),
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
            lines += tenths([measured[n] for n in of], [confidences[n] for n in of])
            lines.append("")
    lines += [*by_series(measured, rules), ""]
    return "\n".join(lines)


def tenths(measured: Sequence[Judged], confidences: Sequence[Float64]) -> list[str]:
    """Return the table of confidence against truth, pooled over all series."""
    confidence, real = np.concatenate(confidences), np.concatenate([one.real for one in measured])
    specimen = np.concatenate([np.full(len(one.real), one.specimen) for one in measured])
    tenth = np.clip((TENTHS * confidence).astype(int), 0, TENTHS - 1)
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
        sums = [error[specimen[of] == name].sum() for name in np.unique(specimen[of])]
        alone, together = np.sqrt(mean * (1 - mean) / n), np.sqrt(np.square(sums).sum()) / n
        lines.append(
            f"| {number / TENTHS:.1f} to {(number + 1) / TENTHS:.1f} | {n} | {mean:.3f} "
            f"| {real[of].mean():.3f} | {100 * error.mean():+.1f} "
            f"| {100 * alone:.1f}, {100 * together:.1f} |"
        )
    return lines


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
