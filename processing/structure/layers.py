"""Layers from the surface, and the distances of neighbours in each."""

from __future__ import annotations

import numpy as np

from processing.series import Bools, Float64
from processing.structure.grains import Ints
from processing.structure.neighbours import Neighbours
from processing.structure_results import Layer, Measured


def number_layers(neighbours: Neighbours) -> Ints:
    """Return each particle's number of steps from the surface, plus 1; 0 where none leads there."""
    here, there = neighbours.pairs.T
    layer = neighbours.at_surface.astype(np.int64)
    newest = neighbours.at_surface
    number = 1
    while newest.any():
        number += 1
        newest = _beside(newest, here, there) & (layer == 0)
        layer[newest] = number
    return layer


def described(neighbours: Neighbours, layer: Ints, depth_nm: Float64) -> list[Layer]:
    """Return the mean distances of neighbours in each layer, from the surface inwards."""
    own = layer[neighbours.pairs[:, 0]]
    found = []
    for number in range(1, int(layer.max(initial=0)) + 1):
        members, distances = layer == number, neighbours.distance_nm[own == number]
        if members.any() and len(distances):
            found.append(_layer(number, neighbours, members, distances, depth_nm))
    return found


def mean_distance(distances_nm: Float64, particles: int) -> Measured:
    """Return the mean of neighbour distances of a number of particles; 0 if there are none."""
    if len(distances_nm) == 0:
        return Measured(value=0.0, error=0.0)
    spread = float(distances_nm.std())
    return Measured(
        value=float(distances_nm.mean()), error=spread / float(np.sqrt(max(particles, 1)))
    )


def _layer(
    number: int, neighbours: Neighbours, members: Bools, distances: Float64, depth_nm: Float64
) -> Layer:
    particles = int(members.sum())
    return Layer(
        number=number,
        particles=particles,
        depth_nm=float(depth_nm[members].mean()),
        neighbour_distance_nm=mean_distance(distances, particles),
        neighbour_spread_nm=float(distances.std()),
        coordination=float(neighbours.number[members].mean()),
    )


def _beside(members: Bools, here: Ints, there: Ints) -> Bools:
    found = np.zeros(len(members), bool)
    found[there[members[here]]] = True
    return found
