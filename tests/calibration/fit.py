"""`python -m tests.calibration.fit [--page FILE] [--series NAME ...]`: the rule of wrong places.

Simulated series that are not stored yet are processed first, one after another: about 100
minutes of CPU time for all of them. The rule that is printed is fitted to all single series. Each
specimen in the tables is tested by a rule that was fitted to the other specimens. The tables are
written to docs/calibration.md.

Each series can be processed by itself, on any machine: `--series NAME` stores one of
tests/calibration/corpus.py as a small file in the folder calibration-places, from which the fit
reads it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from processing.count.wrong_places import (
    CHANCES,
    ExitRule,
    corrected_chance,
    wrong_place_chance,
)
from processing.series import Float64
from tests.calibration.corpus import CORPUS, case_of
from tests.calibration.left_out import count_error, left_out_part
from tests.calibration.measure import silence_warnings
from tests.calibration.page import PAGE, with_left_out
from tests.calibration.places import BOTH, Judged, judged_case

SURE = 1e-4
"""Smallest chance of an error in the likelihood: one particle cannot decide on the rule."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the rule to all series; print it, and write the tables of left-out specimens."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration.fit", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    parser.add_argument(
        "--series",
        nargs="+",
        metavar="NAME",
        help="process and store these series only, as 'fcc 75 nm, seed 201, 4 degrees, A'; no fit",
    )
    chosen = parser.parse_args(arguments)
    silence_warnings()
    if chosen.series:
        for case, series in map(case_of, chosen.series):
            judged_case(case, [series])
        return
    measured = [one for case, series in CORPUS for one in judged_case(case, series)]
    single = [one for one in measured if not one.name.endswith(BOTH)]
    rule = fit_rule(single)
    print("Fitted to all series:")
    for field in fields(rule):
        values = np.atleast_1d(getattr(rule, field.name))
        print(f"    {field.name} = {', '.join(f'{value:.3g}' for value in values)}")
    without = rules_left_out(single)
    left_out = [without[one.specimen] for one in single]
    part = left_out_part(measured, [without.get(one.specimen, rule) for one in measured])
    print(f"    error of the number of wrong places: {count_error(single, left_out):.3g}\n\n{part}")
    page = chosen.page.read_text(encoding="utf-8") if chosen.page.exists() else ""
    chosen.page.write_text(with_left_out(page, part), encoding="utf-8")


def fit_rule(measured: Sequence[Judged]) -> ExitRule:
    """Return the rule of images, fitted to series of no single crystal, and those of the lattices.

    The lattices decide in single crystals and in several grains, the images in the others.
    """
    crystals, others = _parted(measured)
    rule = fit_grains(others, fit_lattice(crystals, fit_images(others, _uncorrected())))
    return fit_shares(crystals, others, rule)


def _uncorrected() -> ExitRule:
    return replace(ExitRule(), shares=CHANCES, crystal_shares=CHANCES)


def fit_images(measured: Sequence[Judged], rule: ExitRule) -> ExitRule:
    """Return the rule of images and neighbours under which the truth is most likely.

    It is fitted as if no lattice of a grain were known.
    """
    names = ("limit", "steepness", "sharpening", "by_chance")
    return _most_likely([_without_sites(one) for one in measured], rule, names)


def fit_lattice(measured: Sequence[Judged], rule: ExitRule) -> ExitRule:
    """Return a rule with the figures of the lattice under which the truth is most likely."""
    return _most_likely(measured, rule, ("even", "distance_se", "filled"))


def fit_grains(measured: Sequence[Judged], rule: ExitRule) -> ExitRule:
    """Return a rule with the figures of several grains under which the truth is most likely."""
    names = ("grain_even", "grain_se", "grain_filled", "grain_beside")
    return _most_likely([one for one in measured if one.in_grains], rule, names)


def fit_shares(crystals: Sequence[Judged], others: Sequence[Judged], rule: ExitRule) -> ExitRule:
    """Return a rule with the shares of wrong places under which the truth is most likely.

    Single crystals have their own. What else is in doubt about a count stays as it is by the rule
    that is given.
    """
    return replace(
        rule,
        shares=_likeliest_shares(others, rule),
        crystal_shares=_likeliest_shares(crystals, rule),
    )


def _likeliest_shares(measured: Sequence[Judged], rule: ExitRule) -> tuple[float, ...]:
    if not measured:
        return CHANCES
    chances = np.concatenate([wrong_place_chance(one.places, rule) for one in measured])
    confidences = np.concatenate([one.confidence(rule) for one in measured])
    real = np.concatenate([one.real for one in measured])
    in_doubt = (chances > SURE) & (chances < 1 - SURE)
    chances, real = chances[in_doubt], real[in_doubt]
    beyond_places = confidences[in_doubt] / (1 - chances)

    def unlikely(shares: Float64) -> float:
        return _unlikely(beyond_places * (1 - corrected_chance(chances, shares.tolist())), real)

    bounds = [(0.01, 0.99)] * len(CHANCES)
    found = minimize(unlikely, np.array(CHANCES), method="L-BFGS-B", bounds=bounds).x
    return tuple(found.tolist())


def _without_sites(one: Judged) -> Judged:
    return replace(one, places=one.places.without_sites(), found=one.found.without_sites())


def _most_likely(measured: Sequence[Judged], start: ExitRule, names: Sequence[str]) -> ExitRule:
    def with_values(logs: Float64) -> ExitRule:
        return replace(start, **dict(zip(names, np.exp(logs).tolist(), strict=True)))

    def unlikely(logs: Float64) -> float:
        rule = with_values(logs)
        return sum(_unlikely(one.confidence(rule), one.real) for one in measured)

    first = np.log([getattr(start, name) for name in names])
    # the likelihood tells no smaller odds apart
    bounds = [(np.log(SURE), None)] * len(names)
    return with_values(minimize(unlikely, first, method="L-BFGS-B", bounds=bounds).x)


def _unlikely(confidence: Float64, real: np.ndarray) -> float:
    sure = np.clip(confidence, SURE, 1 - SURE)
    return -float(np.log(np.where(real, sure, 1 - sure)).sum())


def rules_left_out(measured: Sequence[Judged]) -> dict[str, ExitRule]:
    """Return for each specimen the rule that is fitted to all others.

    What does not decide on its particles is not fitted again without them.
    """
    crystals, others = _parted(measured)
    start = _uncorrected()
    images = fit_images(others, start)
    rules = {}
    for specimen in {one.specimen for one in measured}:
        rule = images
        other_crystals, rest = (
            [one for one in each if one.specimen != specimen] for each in (crystals, others)
        )
        if len(rest) < len(others):
            rule = fit_images(rest, start)
        if any(one.specimen == specimen for one in others if one.in_grains):
            rule = fit_grains(rest, rule)
        if len(other_crystals) < len(crystals):
            rule = fit_lattice(other_crystals, rule)
        rules[specimen] = fit_shares(other_crystals, rest, rule)
    return rules


def _parted(measured: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    """Return the series of single crystals, and the others."""
    crystals = [one for one in measured if one.in_crystal]
    return crystals, [one for one in measured if not one.in_crystal]


if __name__ == "__main__":
    main()
