"""Layers from the surface, and the distances of neighbours in each, with errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from processing.series import Bools, Float64
from processing.structure.arrangement import Arrangement
from processing.structure.assembly import Ints
from processing.structure.neighbours import Neighbours
from processing.structure.repeats import Repeats
from processing.structure_results import Layer, Measured


def layer_results(repeats: Repeats) -> list[Layer]:
    """Return the mean distances of neighbours in each layer, from the surface inwards."""
    deepest = int(repeats.first.layer.max(initial=0))
    return [
        _layer(number, repeats)
        for number in range(1, deepest + 1)
        if len(distances_of(repeats.first.neighbours, repeats.first.layer == number))
    ]


def distance_results(
    repeats: Repeats, chosen: Callable[[Arrangement], Bools]
) -> tuple[Measured, Measured]:
    """Return mean and spread of the neighbour distances of the particles `chosen`; 0 without any.

    The bonds of a particle share its error, so that the particles are counted, not the bonds.
    """
    distances_nm = distances_of(repeats.first.neighbours, chosen(repeats.first))
    particles = max(1, int(chosen(repeats.first).sum()))
    own = float(distances_nm.std()) / np.sqrt(particles) if len(distances_nm) else 0.0
    return (
        repeats.measure(lambda one: _mean(distances_of(one.neighbours, chosen(one))), own),
        repeats.measure(
            lambda one: _spread(distances_of(one.neighbours, chosen(one))), own / np.sqrt(2)
        ),
    )


def distances_of(neighbours: Neighbours, chosen: Bools) -> Float64:
    """Return the distances of all neighbours of some particles."""
    return np.asarray(neighbours.distance_nm[chosen[neighbours.pairs[:, 0]]], np.float64)


def _layer(number: int, repeats: Repeats) -> Layer:
    def members(one: Arrangement) -> Bools:
        return np.asarray(one.layer == number)

    inside = members(repeats.first)
    particles = int(inside.sum())
    distance, spread = distance_results(repeats, members)
    depth = repeats.measure(lambda one: _mean(one.envelope.depth_nm[members(one)]), 0.0)
    neighbours = repeats.first.neighbours.number[inside]
    coordination = repeats.measure(
        lambda one: _mean(one.neighbours.number[members(one)]),
        float(neighbours.std() / np.sqrt(particles)),
    )
    return Layer(
        number=number,
        particles=particles,
        particles_error=repeats.change_of_number(lambda one: int(members(one).sum())),
        depth_nm=depth.value,
        depth_error_nm=depth.error,
        neighbour_distance_nm=distance,
        neighbour_spread_nm=spread.value,
        neighbour_spread_error_nm=spread.error,
        coordination=coordination.value,
        coordination_error=coordination.error,
    )


def _mean(values: Float64 | Ints) -> float:
    return float(values.mean()) if len(values) else np.nan


def _spread(values: Float64) -> float:
    return float(values.std()) if len(values) else np.nan
