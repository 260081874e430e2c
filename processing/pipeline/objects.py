"""Count of the assembly alone: loose particles are listed, several bodies make it doubtful."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.count.bodies import Bodies, find_bodies
from processing.files.particles import ParticleTable
from processing.results import Count
from processing.series import Float64

CHOOSE = "choose one with --region"


@dataclass(frozen=True, eq=False)
class Parted:
    """Particles of the assembly, and those beside it.

    Attributes
    ----------
    table, count
        Particles that are counted.
    beside
        Particles that lie apart from the assembly.
    notes
        One line about them, and one about particles that may belong to the assembly or not.
    several
        One line for each reason why the particles may belong to several objects.
    """

    table: ParticleTable
    count: Count
    beside: ParticleTable
    notes: tuple[str, ...]
    several: tuple[str, ...]


def part_objects(table: ParticleTable, count: Count, sizes_nm: Float64) -> Parted:
    """Take loose particles out of a count; its interval holds all readings of what is left.

    Parameters
    ----------
    sizes_nm
        Usual diameter of particles like each of the table, [n]: less uncertain than its own one.
    """
    bodies = find_bodies(table.centres_nm, sizes_nm)
    beside = table.select(bodies.loose)
    return Parted(
        table.select(~bodies.loose),
        _of_the_assembly(count, bodies),
        replace(beside, beside=np.ones(len(beside), bool)),
        _notes(bodies),
        _several(bodies),
    )


def _of_the_assembly(count: Count, bodies: Bodies) -> Count:
    loose = int(bodies.loose.sum())
    n = count.n - loose
    low = count.n_low - loose - bodies.near - bodies.hanging - bodies.apart
    low = min(low, *bodies.parts[:1], n)
    return count.model_copy(
        update={"n": n, "n_low": max(0, low), "n_high": max(n, count.n_high - loose)}
    )


def _notes(bodies: Bodies) -> tuple[str, ...]:
    notes = []
    loose = int(bodies.loose.sum())
    if loose:
        notes.append(
            f"{_particles(loose)} apart from the assembly: listed with beside = true, not counted"
        )
    if bodies.near:
        notes.append(
            f"{_particles(bodies.near)} close to the assembly without touching it: counted, and "
            "the interval holds both readings"
        )
    return tuple(notes)


def _particles(number: int) -> str:
    return f"{number} particles lie" if number > 1 else "1 particle lies"


def _several(bodies: Bodies) -> tuple[str, ...]:
    lines = []
    if bodies.apart:
        lines.append(
            f"{_particles(bodies.apart)} apart from the largest group of particles, and may be "
            f"another object; all are counted: {CHOOSE}"
        )
    if bodies.parts:
        larger, smaller = bodies.parts
        lines.append(
            f"may be two assemblies in contact, {larger} and {smaller} particles: {CHOOSE}"
        )
    return tuple(lines)
