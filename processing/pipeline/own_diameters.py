"""Own diameter of each particle in the tables of a detection, and the figures about all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from processing.count.kinds import FittedKind, kind_chances, kind_counts
from processing.count.own_sizes import combine_measurements, spread_of
from processing.files.particles import ParticleTable
from processing.fit.sizes import STAGE, measure_sizes
from processing.fit.spheres import SphereFit
from processing.pipeline.own_positions import numbers_of
from processing.progress import Progress, silent
from processing.results import Count, Diameter, ParticleKind
from processing.series import Float64


def with_own_diameters(
    table: ParticleTable,
    fit: SphereFit,
    kinds: Sequence[FittedKind],
    progress: Progress = silent,
) -> ParticleTable:
    """Return particles of a fit, each with its own diameter, standard error and kind.

    Parameters
    ----------
    kinds
        Kinds of the fit.
    """
    if not len(table):
        return table
    progress(STAGE, 0.0)
    signals = measure_sizes(fit, progress=progress)
    progress(STAGE, 1.0)
    candidate = numbers_of(table, fit.centres_nm)
    members = np.zeros(len(table), np.int64) if fit.kinds is None else fit.kinds[candidate]
    sizes = combine_measurements(
        signals.measured[candidate], signals.noise[candidate], table.centres_nm, members
    )
    relative = np.exp(sizes.log_size)
    for kind in np.unique(members):
        relative[members == kind] /= relative[members == kind].mean()
    diameter_nm = np.array([kind.diameter_nm for kind in kinds])[members] * relative
    brightness = np.cbrt([kind.signal for kind in kinds])[members] * relative
    chances = kind_chances(np.log(brightness), sizes.error, members, len(kinds))
    return replace(
        table,
        diameter_nm=diameter_nm,
        diameter_se_nm=diameter_nm * sizes.error,
        brightness_share=sizes.brightness_share,
        kind=1 + chances.argmax(axis=1),
        kind_probability=chances.max(axis=1),
    )


def scaled(table: ParticleTable, factor: float) -> ParticleTable:
    """Return a table with all diameters and their errors multiplied by a factor."""
    return replace(
        table,
        diameter_nm=factor * table.diameter_nm,
        diameter_se_nm=factor * table.diameter_se_nm,
    )


def mean_at_zero(zero_nm: float, table: ParticleTable) -> float:
    """Return the mean diameter of particles whose common form factor has the zero of `zero_nm`.

    A relative spread s moves the zero to that of mean (1 + s^2).
    """
    if not _are_own(table):
        return zero_nm
    relative = np.log(table.diameter_nm)
    spread = spread_of(relative, table.diameter_se_nm / table.diameter_nm).value
    return zero_nm / (1 + spread**2)


def with_statistics(diameter: Diameter, table: ParticleTable) -> Diameter:
    """Return a diameter with mean, spread and error of the particles' own diameters."""
    if not _are_own(table):
        unknown = dict.fromkeys(("mean", "spread", "spread_se", "se_rms"))
        return diameter.model_copy(update=unknown)
    inside = _inside_kinds(table)
    spread = spread_of(inside, table.diameter_se_nm)
    return diameter.model_copy(
        update={
            "mean": float(table.diameter_nm.mean()),
            "spread": spread.value,
            "spread_se": spread.error,
            "se_rms": float(np.sqrt(np.mean(table.diameter_se_nm**2))),
        }
    )


def particle_kinds(
    table: ParticleTable, fitted: Sequence[FittedKind], count: Count
) -> list[ParticleKind]:
    """Return the kinds of a counted table, each with its number, its share and its spread."""
    chances = np.zeros((len(table), len(fitted)))
    other = (1 - table.kind_probability) / max(len(fitted) - 1, 1)
    chances[:] = other[:, None]
    chances[np.arange(len(table)), table.kind - 1] = table.kind_probability
    kinds = []
    for number, own in enumerate(kind_counts(chances, table.kind - 1, count)):
        members = table.select(table.kind == number + 1)
        spread = spread_of(members.diameter_nm, members.diameter_se_nm)
        kinds.append(
            ParticleKind(
                diameter_nm=fitted[number].diameter_nm,
                signal=fitted[number].signal,
                particles=own.n,
                n_low=own.n_low,
                n_high=own.n_high,
                share_low=own.share_low,
                share_high=own.share_high,
                spread=spread.value,
                spread_se=spread.error,
            )
        )
    return kinds


def _are_own(table: ParticleTable) -> bool:
    """Return true if the diameters of a table were measured particle by particle."""
    return len(table) > 0 and not np.isnan(table.diameter_se_nm).any()


def _inside_kinds(table: ParticleTable) -> Float64:
    """Return the diameters relative to the mean of their kind, nm."""
    inside = table.diameter_nm.copy()
    for kind in np.unique(table.kind):
        inside[table.kind == kind] -= inside[table.kind == kind].mean()
    return inside
