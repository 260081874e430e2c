"""Verdict on a count: do the particles found explain the images, beyond what noise explains?

Each rule compares one figure of the fit with two limits: above the first the count is doubtful,
above the second it is refused. The limits come from the tables of docs/wrong-inputs.md and
docs/calibration.md. Where the tilts are too far apart for the object, spheres can explain the
images in more than one way, and the count is doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from processing.count.particles import wrong_place_chance
from processing.fit.spheres import LARGEST_UNEXPLAINED, SphereFit
from processing.results import Cause, Count, Trust, Verdict
from processing.series import Float64, TiltSeries

PARTICLE = 0.5
"""Smallest amplitude of a certain particle, in amplitudes of a typical one."""
AMBIGUOUS = (0.25, 0.7)
"""Amplitudes of candidates that are neither particles nor noise."""
TOO_CLOSE = 0.92
"""Distance of neighbours below which hard spheres would overlap, in diameters."""
USUAL_SPREAD, USUAL_NOISE = 0.2, 0.5
"""Spread of the brightness and share of noise with which counts of simulated series are right."""
ENOUGH = 10
"""Fewest particles that show an error of a tilt angle."""
OBJECT_SHARE = 0.95
"""Share of the particles inside the radius that stands for the object's size."""
COARSE_STEP = 1.5
"""Angular step times size of the object, in diameters, above which the tilts are too far apart.

One diameter is the limit of Crowther et al. (Proc. R. Soc. A 1970, 317, 319) for a density without
prior knowledge. The fit knows that all particles are equal spheres and resolves somewhat more:
single series were right up to 1.45 and missed particles from 1.7 on.
"""


@dataclass(frozen=True)
class Fitness:
    """Figures on which a verdict rests."""

    noise_share: float = 0.0
    """Share of noise in the images, in the band of single particles."""
    unexplained: float = 0.0
    """Share of the images near a typical particle that spheres leave unexplained."""
    most_unexplained: float = 0.0
    """The same near the worst tenth of the particles."""
    worst_view: float = 0.0
    """The same near all particles in the worst image that is in use."""
    too_close: float = 0.0
    """Share of the particles that overlap a neighbour."""
    ambiguous: float = 0.0
    """Candidates that are neither particle nor noise, over particles."""
    misplaced: float = 0.0
    """Share of the particles that are expected in a wrong place."""
    missed: float = 0.0
    """Area that shows something else than the particles, over the area of all particles."""
    amplitude_spread: float = 0.0
    """Standard deviation of the particles' brightness, over its median."""
    tilt_error_deg: float = 0.0
    """Standard deviation of the tilt angles found from those given."""
    step: float = 0.0
    """Angular step times size of the object, in diameters; half as much with two series."""
    missing_range_deg: float = 0.0
    """Part of the half turn that the tilts leave out."""
    field_share: float = 0.0
    """Diameter over the smaller side of the field."""
    pixel_share: float = 0.0
    """Pixel size over diameter."""
    at_edge: float = 0.0
    """Share of the particles that touch the edge of the field."""
    exit_blur: float = 0.0
    """Blur of the exit side, by the beam and by wrong places, in diameters; 0 with two series."""


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
        0.3,
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
        "for each particle {0:.2f} weaker objects were not counted",
        0.15,
    ),
    Rule(
        "misplaced",
        Cause.UNDERSAMPLED,
        "the images allow another place for {0:.1%} of the particles",
        0.005,
    ),
    Rule(
        "missed",
        Cause.SEVERAL_SIZES,
        "something else shows beside the particles, on {0:.0%} of their area",
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
        "one image leaves {0:.0%} unexplained near the particles",
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
        "the exit side is blurred by {0:.2f} diameters, by the beam or by wrong places: record B",
        0.3,
    ),
)


def judge(fitness: Fitness, doubts: Sequence[str] = ()) -> Verdict:
    """Return the verdict on a count, from the figures of its fit and the doubts of its input."""
    found: list[tuple[bool, Cause, str]] = []
    for rule in RULES:
        value = float(getattr(fitness, rule.figure))
        if value > rule.doubtful:
            found.append((value > rule.refused, rule.cause, rule.line.format(value)))
    found += [(False, Cause.INPUT, doubt) for doubt in doubts]
    found.sort(key=lambda reason: not reason[0])
    if not found:
        return Verdict(state=Trust.TRUSTED)
    return Verdict(
        state=Trust.REFUSED if found[0][0] else Trust.DOUBTFUL,
        reasons=tuple(line for _, _, line in found),
        causes=tuple(cause for _, cause, _ in found),
    )


def measure_fitness(
    fit: SphereFit,
    series: Sequence[TiltSeries],
    diameter_nm: float,
    sizes_nm: Float64 | None = None,
) -> Fitness:
    """Measure the figures of a fit to one aligned series, or to two.

    Parameters
    ----------
    diameter_nm
        Diameter of the spheres, or of the largest kind.
    sizes_nm
        [n], diameter of each candidate; None for equal spheres.
    """
    if sizes_nm is None:
        sizes_nm = np.full(len(fit.amplitudes), diameter_nm)
    smallest_nm = float(sizes_nm.min()) if len(sizes_nm) else diameter_nm
    particles = fit.amplitudes > PARTICLE
    evidence = fit.evidence
    in_use = [
        replace(one, excluded=one.excluded | left_out)
        for one, left_out in zip(series, fit.left_out, strict=True)
    ]
    geometry = {
        "missing_range_deg": 180.0 - max(float(np.ptp(_angles_deg(one))) for one in in_use),
        "field_share": max(
            diameter_nm / one.pixel_nm / min(one.images.shape[1:]) for one in series
        ),
        "pixel_share": max(one.pixel_nm / smallest_nm for one in series),
    }
    noise_share = max(evidence.noise_share)
    if not particles.any():
        return Fitness(noise_share=noise_share, unexplained=1.0, **geometry)
    amplitudes, centres_nm = fit.amplitudes[particles], fit.centres_nm[particles]
    unexplained = evidence.unexplained[particles]
    ambiguous = (fit.amplitudes > AMBIGUOUS[0]) & (fit.amplitudes < AMBIGUOUS[1])
    return Fitness(
        noise_share=noise_share,
        unexplained=float(np.median(unexplained)),
        most_unexplained=float(np.quantile(unexplained, 0.9)),
        worst_view=float(evidence.view_unexplained.max()),
        too_close=_too_close(centres_nm, sizes_nm[particles]),
        ambiguous=float(ambiguous.sum() / particles.sum()),
        misplaced=float(wrong_place_chance(evidence.place_error[particles]).mean()),
        missed=evidence.missed_area / len(amplitudes),
        amplitude_spread=float(np.std(amplitudes) / np.median(amplitudes)),
        tilt_error_deg=max(evidence.tilt_errors_deg) if len(amplitudes) >= ENOUGH else 0.0,
        step=min(_step(one, centres_nm, diameter_nm) for one in in_use) / len(series),
        # the centres are in the frame of the first series
        at_edge=_at_edge(series[0], centres_nm, sizes_nm[particles]),
        exit_blur=fit.blurs_nm[0] / smallest_nm if len(series) == 1 else 0.0,
        **geometry,
    )


def wrong_share(fitness: Fitness, verdict: Verdict) -> float:
    """Return the share of the particles that may be wrong, 0 to 1; 0 for a trusted count."""
    if verdict.state is Trust.TRUSTED:
        return 0.0
    shares = (
        fitness.unexplained,
        fitness.too_close,
        fitness.ambiguous,
        fitness.amplitude_spread - USUAL_SPREAD,
        fitness.noise_share - USUAL_NOISE,
    )
    return min(1.0, max(shares))


def beyond_places(wrong: float, fitness: Fitness) -> float:
    """Return the share of wrong particles that their places do not account for.

    Where the tilts are too far apart, spheres in wrong places overlap, are faint and leave a
    residual. The confidence of each particle already holds the chance of its wrong place.
    """
    return max(0.0, wrong - fitness.misplaced) if fitness.step > COARSE_STEP else wrong


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


def _too_close(centres_nm: Float64, sizes_nm: Float64) -> float:
    reach_nm = TOO_CLOSE * float(sizes_nm.max())
    one, other = cKDTree(centres_nm).query_pairs(reach_nm, output_type="ndarray").T
    distance = np.linalg.norm(centres_nm[one] - centres_nm[other], axis=1)
    overlap = distance < TOO_CLOSE * (sizes_nm[one] + sizes_nm[other]) / 2
    return len(np.unique([one[overlap], other[overlap]])) / len(centres_nm)


def _at_edge(series: TiltSeries, centres_nm: Float64, sizes_nm: Float64) -> float:
    """Return the share of the particles that touch the edge of the untilted field."""
    half_nm = np.array(series.images.shape[:0:-1]) * series.pixel_nm / 2
    beyond = np.abs(centres_nm[:, :2]) + sizes_nm[:, None] / 2 > half_nm
    return float(beyond.any(axis=1).mean())


def _angles_deg(series: TiltSeries) -> Float64:
    """Return the tilt angles of the images in use."""
    return series.angles_deg[~series.excluded]


def _step(series: TiltSeries, centres_nm: Float64, diameter_nm: float) -> float:
    """Return the largest usual angular step times the object's size, in diameters."""
    angles = np.unique(np.round(np.deg2rad(_angles_deg(series)), 4))
    if len(angles) < 2:
        return np.inf
    across = np.hypot(*(centres_nm - centres_nm.mean(axis=0))[:, [0, 2]].T)
    size_nm = 2 * float(np.quantile(across, OBJECT_SHARE)) + diameter_nm
    return float(np.mean(np.diff(angles))) * size_nm / diameter_nm
