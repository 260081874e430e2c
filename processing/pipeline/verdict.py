"""Verdict on a count: do the particles found explain the images, beyond what noise explains?

Each rule compares one figure of the fit with two limits: above the first the count is doubtful,
above the second it is refused. The limits come from the tables of docs/wrong-inputs.md and
docs/calibration.md. Where the tilts are too far apart for the object, spheres can explain the
images in more than one way, and the count is doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processing.fit.spheres import LARGEST_UNEXPLAINED
from processing.image_size import COARSEST_PIXEL_DIAMETERS
from processing.pipeline.fitness import Fitness
from processing.results import Cause, Count, Trust, Verdict

USUAL_SPREAD, USUAL_NOISE = 0.2, 0.5
"""Spread of the brightness and share of noise with which counts of simulated series are right."""
COARSE_STEP = 1.5
"""Angular step times size of the object, in diameters, above which the tilts are too far apart.

One diameter is the limit of Crowther et al. (Proc. R. Soc. A 1970, 317, 319) for a density without
prior knowledge. The fit knows that all particles are equal spheres and resolves somewhat more:
single series were right up to 1.45 and missed particles from 1.7 on.
"""

MOST_MISPLACED = 0.005
"""Largest share of particles that may have wrong positions in a trusted count."""
MOST_BESIDE_PLACES = 0.02
"""Weaker spheres for each particle, beside coarse tilts, above which the count is doubtful. Both
series of 165 nm in 6 degree steps have 0.003 where 99.9 % of the particles are in the right places,
and 0.09 where 98 % are."""
LARGEST_SIZE_CHANGE = 0.05
"""Largest change of size that is no doubt. Beams shrink specimens by some per cent; 3 % is measured
(docs/limits.md). More is rather another magnification of a part of the images."""


@dataclass(frozen=True)
class Rule:
    """Limits of one figure. `line` is a format string with the figure as {0}."""

    figure: str
    cause: Cause
    line: str
    doubtful: float
    refused: float = np.inf


RULES = (
    Rule("noise_share", Cause.NOISE, "{0:.0%} of the detail in the images is noise", 0.6, 0.85),
    Rule(
        "unexplained",
        Cause.NOT_SPHERES,
        "spheres leave {0:.0%} of the images near the particles unexplained",
        0.05,
        0.3,
    ),
    Rule(
        "field_share",
        Cause.NOT_SPHERES,
        "the diameter found is {0:.0%} of the field: one sphere may stand for the whole object",
        0.25,
    ),
    Rule(
        "pixel_share",
        Cause.UNDERSAMPLED,
        "one pixel is {0:.0%} of a particle's diameter",
        COARSEST_PIXEL_DIAMETERS,
    ),
    Rule(
        "too_close",
        Cause.MERGED,
        "{0:.0%} of the spheres overlap a neighbour: larger bodies may be filled with spheres",
        0.05,
        0.5,
    ),
    Rule(
        "ambiguous",
        Cause.SEVERAL_SIZES,
        "{0:.2f} fainter objects per particle were found and not counted: smaller particles, or "
        "false ones",
        0.15,
    ),
    Rule(
        "beside_places",
        Cause.UNDERSAMPLED,
        "coarse tilt steps, and {0:.2f} fainter spheres per particle: some particles may have "
        "wrong positions",
        MOST_BESIDE_PLACES,
    ),
    Rule(
        "misplaced",
        Cause.UNDERSAMPLED,
        "{0:.1%} of the particles may have wrong positions",
        MOST_MISPLACED,
    ),
    Rule(
        "missed",
        Cause.SEVERAL_SIZES,
        "the images show more than the particles counted, on {0:.0%} of their area: another size "
        "or material",
        0.02,
    ),
    Rule(
        "amplitude_spread",
        Cause.SEVERAL_SIZES,
        "the particles differ in brightness by {0:.0%}",
        0.3,
    ),
    Rule(
        "tilt_error_deg",
        Cause.ANGLES,
        "the images fit tilt angles that differ by {0:.1f} degrees from those given",
        2.0,
    ),
    Rule(
        "worst_view",
        Cause.ALIGNMENT,
        "one image leaves {0:.0%} unexplained near the particles: find it with dualtilt inspect",
        LARGEST_UNEXPLAINED,
    ),
    Rule(
        "step",
        Cause.UNDERSAMPLED,
        "one tilt step moves the object's rim by {0:.1f} particle diameters",
        COARSE_STEP,
    ),
    Rule(
        "missing_range_deg",
        Cause.UNDERSAMPLED,
        "the tilts leave out {0:.0f} of 180 degrees",
        100.0,
    ),
    Rule(
        "at_edge",
        Cause.INPUT,
        "{0:.0%} of the particles touch the edge of the field: the object is cut by it",
        0.01,
    ),
    Rule(
        "exit_blur",
        Cause.EXIT_SIDE,
        "particles on the exit side are blurred by {0:.2f} diameters, by the beam or by wrong "
        "positions: the other series is needed",
        0.3,
    ),
    Rule(
        "size_change",
        Cause.INPUT,
        "the object changes its size by {0:.0%} in a series: check that its images have one pixel "
        "size",
        LARGEST_SIZE_CHANGE,
    ),
)


def judge(
    fitness: Fitness,
    doubts: Sequence[str] = (),
    several_objects: Sequence[str] = (),
    several_sizes: Sequence[str] = (),
) -> Verdict:
    """Return the verdict on a count.

    Parameters
    ----------
    fitness
        Figures of its fit.
    doubts
        One line for each doubt of its input.
    several_objects
        One line for each reason why the particles may belong to several objects.
    several_sizes
        One line for each reason why they may have several sizes.
    """
    found: list[tuple[bool, Cause, str]] = []
    for rule in RULES:
        value = float(getattr(fitness, rule.figure))
        if value > rule.doubtful:
            found.append((value > rule.refused, rule.cause, rule.line.format(value)))
    found += [(False, Cause.SEVERAL_OBJECTS, line) for line in several_objects]
    found += [(False, Cause.SEVERAL_SIZES, line) for line in several_sizes]
    found += [(False, Cause.INPUT, doubt) for doubt in doubts]
    found.sort(key=lambda reason: not reason[0])
    if not found:
        return Verdict(state=Trust.TRUSTED)
    return Verdict(
        state=Trust.REFUSED if found[0][0] else Trust.DOUBTFUL,
        reasons=tuple(line for _, _, line in found),
        causes=tuple(cause for _, cause, _ in found),
    )


def wrong_share(fitness: Fitness, verdict: Verdict) -> float:
    """Return the share of the particles that may be wrong, 0 to 1; 0 for a trusted count."""
    if verdict.state is Trust.TRUSTED:
        return 0.0
    return min(1.0, max(share for _, share in _wrong_shares(fitness)))


def beyond_places(fitness: Fitness, verdict: Verdict) -> float:
    """Return the share of wrong particles that their places do not account for.

    Only figures beyond their limits count. Weaker objects count only if the entrance side has as
    many: on a blurred exit side they are its faint particles, and make no counted particle wrong.
    """
    if verdict.state is Trust.TRUSTED:
        return 0.0
    limits = {rule.figure: rule.doubtful for rule in RULES}
    counting = {figure for figure, limit in limits.items() if getattr(fitness, figure) > limit}
    if fitness.ambiguous_at_entrance <= limits["ambiguous"]:
        counting.discard("ambiguous")
    shares = [share for figure, share in _wrong_shares(fitness) if figure in counting]
    misplaced = fitness.misplaced if "misplaced" in counting else 0.0
    return max(0.0, min(1.0, max(shares, default=0.0)) - misplaced)


def _wrong_shares(fitness: Fitness) -> list[tuple[str, float]]:
    """Return the figures that say how many particles may be wrong, with this share."""
    return [
        ("unexplained", fitness.unexplained),
        ("too_close", fitness.too_close),
        ("ambiguous", fitness.ambiguous),
        ("amplitude_spread", fitness.amplitude_spread - USUAL_SPREAD),
        ("noise_share", fitness.noise_share - USUAL_NOISE),
    ]


def with_verdict(count: Count, verdict: Verdict, wrong: float) -> Count:
    """Attach the verdict; widen the interval by the share of the particles that may be wrong."""
    widening = int(np.ceil(wrong * count.n))
    return count.model_copy(
        update={
            "n_low": max(0, count.n_low - widening),
            "n_high": count.n_high + widening,
            "verdict": verdict,
        }
    )
