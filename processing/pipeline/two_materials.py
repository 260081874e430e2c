"""Particles of two materials and one size: fit of all, and search of those that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from processing.combine.pose import Pose
from processing.device import Device
from processing.fit.missing import missing_spheres
from processing.fit.mixture import Mixture
from processing.fit.spheres import fit_spheres
from processing.pipeline.mixed_fit import MixedFit, are_kinds, split_by_brightness
from processing.progress import Progress, within
from processing.series import Float64, TiltSeries

PASSES = 3
"""Largest number of fits. After each but the last, spheres that it lacks are searched."""
LARGEST_LOSS = 0.01
"""Largest relative growth of the residual by which two materials explain the images no worse than
equal spheres, whose brightness is as free."""


def fit_two_materials(
    known: MixedFit,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    rounds: int,
    device: Device,
    progress: Progress,
) -> MixedFit | None:
    """Fit spheres with the signal of their kind, and find those that a volume did not show.

    Parameters
    ----------
    known
        Equal spheres, of which the brightness shows two groups.
    series, rounds
        See `fit_spheres`.

    Returns
    -------
    None if the groups do not remain, or if this explains the images less.
    """
    largest_misfit = (1 + LARGEST_LOSS) * known.fit.misfit
    for done in range(PASSES):
        fit = fit_spheres(
            series,
            known.fit.centres_nm,
            known.fit.amplitudes,
            known.diameter_nm,
            rounds=rounds,
            mixture=known.mixture,
            device=device,
            progress=within(progress, done / PASSES, (done + 1) / PASSES),
        )
        found = split_by_brightness(fit, known.signals, known.diameter_nm)
        if found is None or not found.of_two_materials or not are_kinds(found):
            return None
        if fit.misfit > largest_misfit:
            return None
        places_nm, amplitudes = missing_spheres(found.fit, found.diameter_nm, kind=1)
        if not len(amplitudes):
            break
        known = _with_more(found, places_nm, amplitudes)
    progress("sphere fit", 1.0)
    return found


def _with_more(found: MixedFit, places_nm: Float64, amplitudes: Float64) -> MixedFit:
    """Add faint spheres to a fit."""
    fit, mixture = found.fit, found.mixture
    members = np.concatenate([mixture.members, np.ones(len(amplitudes), np.int64)])
    more = replace(
        fit,
        centres_nm=np.vstack([fit.centres_nm, places_nm]),
        amplitudes=np.concatenate([fit.amplitudes, amplitudes]),
        kinds=members,
    )
    return replace(found, fit=more, mixture=Mixture(mixture.kinds, members))
