"""Names of the kinds of particles, as the user gave them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from processing.pipeline.settings import NamedParticles
from processing.results import Diameter


def named(diameter: Diameter, particles: Sequence[NamedParticles]) -> Diameter:
    """Return a diameter whose kinds have names.

    Kinds of two sizes get the names with the nearest diameters, where all names have one. Otherwise
    the order of the names is that of the kinds, the brightest first. With more or fewer names than
    kinds, those of two kinds have none; particles of one kind get the nearest name, or the first.
    """
    if not particles:
        return diameter
    given_nm = [each.diameter_nm for each in particles if each.diameter_nm is not None]
    measured = len(given_nm) == len(particles)
    if not diameter.kinds:
        found_nm = diameter.mean or diameter.value
        nearest = int(np.argmin(np.abs(np.array(given_nm) - found_nm))) if measured else 0
        return diameter.model_copy(update={"name": particles[nearest].name})
    if len(particles) != len(diameter.kinds):
        return diameter
    in_order = list(particles)
    if measured and len({kind.diameter_nm for kind in diameter.kinds}) > 1:
        in_order.sort(key=lambda each: -(each.diameter_nm or 0))
    kinds = [
        kind.model_copy(update={"name": each.name})
        for kind, each in zip(diameter.kinds, in_order, strict=True)
    ]
    return diameter.model_copy(update={"kinds": kinds})


def name_notes(
    name: str, diameter: Diameter, particles: Sequence[NamedParticles]
) -> tuple[str, ...]:
    """Return a line if more or fewer kinds are named than were found."""
    found = max(1, len(diameter.kinds))
    if not particles or len(particles) == found:
        return ()
    names = ", ".join(each.name for each in particles)
    kinds = "1 kind of particles was" if found == 1 else f"{found} kinds of particles were"
    return (f"{name}: {kinds} found, but {len(particles)} named ({names})",)
