"""`python -m tests.calibration.fit`: fit the rule of wrong places of one series, and test it.

Simulated series that are not stored yet are processed first, one after another: an hour of CPU time
for all of them. The rule that is printed is fitted to all series. Each specimen in the table is
tested by a rule that was fitted to the other specimens. Two standard errors are given for each
tenth: that of independent particles, and that of specimens, whose particles are in wrong places
together.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from scipy.optimize import minimize

from processing.count.wrong_places import ExitRule
from processing.series import Float64
from simulator.settings import Packing
from tests.calibration.cases import Case
from tests.calibration.measure import TENTHS, silence_warnings
from tests.calibration.places import Judged, judged_series

SERIES = (
    (75.0, Packing.FCC, 4.0, 201, "AB"),
    (75.0, Packing.DISORDERED, 6.0, 201, "AB"),
    (75.0, Packing.FCC, 10.0, 411, "AB"),
    (75.0, Packing.DISORDERED, 12.0, 412, "AB"),
    (75.0, Packing.FCC, 14.0, 413, "AB"),
    (110.0, Packing.FCC, 4.0, 201, "A"),
    (110.0, Packing.DISORDERED, 8.0, 403, "A"),
    (110.0, Packing.FCC, 8.0, 301, "AB"),
    (165.0, Packing.FCC, 2.0, 201, "A"),
    (165.0, Packing.FCC, 4.0, 201, "AB"),
    (165.0, Packing.FCC, 6.0, 201, "AB"),
    (165.0, Packing.FCC, 2.0, 301, "AB"),
    (165.0, Packing.FCC, 6.0, 301, "AB"),
    (165.0, Packing.DISORDERED, 2.0, 301, "AB"),
    (165.0, Packing.DISORDERED, 4.0, 301, "A"),
)
"""Size, packing, tilt step, seed, and which of A and B."""
SURE = 1e-4
"""Smallest chance of an error in the likelihood: one particle cannot decide on the rule."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the rule to all series; print it, and the table of left-out specimens."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration.fit", description=__doc__)
    parser.parse_args(arguments)
    silence_warnings()
    measured = [
        judged_series(Case(size_nm, packing, step_deg, seed), series)
        for size_nm, packing, step_deg, seed, both in SERIES
        for series in both
    ]
    rule = fit_rule(measured)
    print("Fitted to all series:")
    for field in fields(rule):
        print(f"    {field.name}: float = {getattr(rule, field.name):.3g}")
    left_out = confidences_left_out(measured)
    print("\nSpecimens left out of the fit:\n", *tenths(measured, left_out), sep="\n")
    print("", *by_series(measured, left_out), sep="\n")
    in_product = [one.confidence(ExitRule()) for one in measured]
    print("\nThe rule in the product, not left out:\n", *tenths(measured, in_product), sep="\n")


def fit_rule(measured: Sequence[Judged]) -> ExitRule:
    """Return the rule of images and neighbours, fitted to all series, and of the lattice.

    Few series have no crystal. So the first is fitted as if no lattice were known.
    """
    return fit_lattice(measured, fit_images([one.without_lattice() for one in measured]))


def fit_images(measured: Sequence[Judged]) -> ExitRule:
    """Return the rule of images and neighbours under which the truth is most likely."""
    return _most_likely(measured, ExitRule(), ("limit", "steepness", "sharpening", "by_chance"))


def fit_lattice(measured: Sequence[Judged], rule: ExitRule) -> ExitRule:
    """Return a rule with the figures of the lattice under which the truth is most likely."""
    return _most_likely(measured, rule, ("even", "departure"))


def _most_likely(measured: Sequence[Judged], start: ExitRule, names: Sequence[str]) -> ExitRule:
    def with_values(logs: Float64) -> ExitRule:
        return replace(start, **dict(zip(names, np.exp(logs).tolist(), strict=True)))

    def unlikely(logs: Float64) -> float:
        rule = with_values(logs)
        return sum(_unlikely(one.confidence(rule), one.real) for one in measured)

    first = np.log([getattr(start, name) for name in names])
    return with_values(minimize(unlikely, first, method="L-BFGS-B").x)


def _unlikely(confidence: Float64, real: np.ndarray) -> float:
    sure = np.clip(confidence, SURE, 1 - SURE)
    return -float(np.log(np.where(real, sure, 1 - sure)).sum())


def confidences_left_out(measured: Sequence[Judged]) -> list[Float64]:
    """Return the confidences of each series by a rule fitted to all other specimens."""
    rules = {
        specimen: fit_rule([one for one in measured if one.specimen != specimen])
        for specimen in {one.specimen for one in measured}
    }
    return [one.confidence(rules[one.specimen]) for one in measured]


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


def by_series(measured: Sequence[Judged], confidences: Sequence[Float64]) -> list[str]:
    """Return the table of the mean confidence of each series."""
    lines = [
        "| series | particles | mean confidence | share that is real | difference, points |",
        "|---|---|---|---|---|",
    ]
    for one, confidence in zip(measured, confidences, strict=True):
        mean, share = confidence.mean(), one.real.mean()
        lines.append(
            f"| {one.name} | {len(one.real)} | {mean:.3f} | {share:.3f} "
            f"| {100 * (share - mean):+.1f} |"
        )
    return lines


if __name__ == "__main__":
    main()
