"""Structure of each particle, with errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from processing.series import Bools, Float64
from processing.structure.arrangement import Arrangement
from processing.structure.assembly import Ints
from processing.structure.classify import LEFT_OUT
from processing.structure.repeats import Repeats

COLUMNS = (
    "layer",
    "coordination",
    "depth_nm",
    "neighbour_distance_nm",
    "q4",
    "q6",
    "mean_q4",
    "mean_q6",
    "mean_w4",
    "mean_w6",
    "misfit",
)
"""Numbers of a particle that have an error."""


@dataclass(frozen=True, eq=False)
class ParticleStructure:
    """Structure of each of n particles. Particles that were left out have NaN or 0.

    Attributes
    ----------
    structure
        [n], number of the local structure, in `CODES`.
    structure_again
        [n], share of the repeats with errors added in which it was the same.
    grain
        [n], number of the grain, from 1; 0 in no grain.
    values
        Each of `COLUMNS`, [n]. `layer`: number of steps from the surface, plus 1. `depth_nm`:
        distance from the surface of the assembly's body. `coordination`: number of neighbours with
        a shared Voronoi face, in the first shell. `neighbour_distance_nm`: mean distance of these.
        `q4` to `mean_w6`: Steinhardt's parameters. `misfit`: root mean square distance of the
        neighbours from the best shell, in shell radii.
    errors
        Standard error of each of `COLUMNS` that the errors of the positions cause, [n].
    """

    structure: Ints
    structure_again: Float64
    grain: Ints
    values: dict[str, Float64]
    errors: dict[str, Float64]


def particle_structure(repeats: Repeats, kept: Bools) -> ParticleStructure:
    """Return the structure of all particles, of which those `kept` [n] were analysed."""

    def of_all(own: Float64) -> Float64:
        result = np.full(len(kept), np.nan)
        result[kept] = own
        return result

    def numbers(own: Ints, of_others: int) -> Ints:
        result = np.full(len(kept), of_others)
        result[kept] = own
        return result

    first = repeats.first
    return ParticleStructure(
        numbers(first.structure, LEFT_OUT),
        of_all(repeats.same_structure()),
        numbers(first.grains.number, 0),
        {name: of_all(_column(name, first)) for name in COLUMNS},
        {name: of_all(repeats.change_of_particles(partial(_column, name))) for name in COLUMNS},
    )


def _column(name: str, of: Arrangement) -> Float64:
    match name:
        case "layer":
            return of.layer.astype(float)
        case "coordination":
            return of.neighbours.number.astype(float)
        case "depth_nm":
            return of.envelope.depth_nm
        case "neighbour_distance_nm":
            return of.neighbours.mean_distance_nm()
        case "misfit":
            return of.misfit
        case _:
            return np.asarray(getattr(of.order, name), np.float64)
