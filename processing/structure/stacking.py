"""Twin planes and stacking faults: close-packed layers whose particles have hcp shells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.series import Bools, Float64
from processing.structure.classify import FCC, HCP, ICOSAHEDRAL, SURFACE
from processing.structure.grains import Ints, components
from processing.structure.orientations import Pairs
from processing.structure_results import PlaneKind

PARALLEL_DEG = 15.0
"""Largest angle between the stacking axes of neighbours in one layer."""
PARALLEL_LAYERS_DEG = 8.0
"""Largest angle between the normals of parallel layers."""
IN_PLANE = 0.4
"""Largest share of a bond in a layer along the normal; bonds to the next layer have 0.82."""
FEWEST_IN_LAYER = 7
"""Smallest part of a layer: a particle and the six around it."""
FEWEST_IN_PLANE = 15
"""Smallest plane that is named; smaller ones occur in disordered boundaries of grains."""
CRYSTAL_ON_A_SIDE = 0.5
"""Smallest close-packed share of the neighbours on each side of a layer, of those whose structure
is known. Where grains of any orientation meet, a row of particles may have hcp shells, too: there
nearly all neighbours on one side are disordered."""
CLOSE_PACKED = (FCC, HCP, ICOSAHEDRAL)
LAYER_DISTANCE = float(np.sqrt(2 / 3))
"""Distance of close-packed layers, in spacings."""
GAP = 2.5
"""Largest gap between two parts of one layer, or of layers of one fault, in spacings."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Twin plane, stacking fault or hcp slab.

    Attributes
    ----------
    members
        Its particles.
    layers
        Number of its layers.
    normal
        Unit vector; its largest component is positive.
    centre_nm
        Mean of its particles.
    """

    kind: PlaneKind
    members: Ints
    layers: int
    normal: Float64
    centre_nm: Float64


@dataclass(frozen=True, eq=False)
class _Layer:
    members: Ints
    places: Float64
    normal: Float64

    @property
    def centre(self) -> Float64:
        return np.asarray(self.places.mean(axis=0))


def find_planes(
    centres_nm: Float64, pairs: Pairs, structure: Ints, rotation: Float64, spacing_nm: float
) -> list[Plane]:
    """Return twin planes, stacking faults and hcp slabs, the largest first."""
    layers = [
        layer
        for layer in _layers(centres_nm, pairs, structure == HCP, rotation[:, :, 2])
        if _between_crystals(layer, centres_nm, pairs, structure)
    ]
    steps = {
        (a, b): step
        for a in range(len(layers))
        for b in range(a + 1, len(layers))
        if (step := _step(layers[a], layers[b], spacing_nm)) is not None
    }
    joined = np.array(list(steps), np.int64).reshape(-1, 2)
    stacks = components(len(layers), joined) if layers else np.zeros(0, np.int64)
    planes = [
        _plane([layers[at] for at in np.flatnonzero(stacks == stack)], spacing_nm)
        for stack in np.unique(stacks)
    ]
    large = [plane for plane in planes if len(plane.members) >= FEWEST_IN_PLANE]
    return sorted(large, key=lambda plane: -len(plane.members))


def _layers(centres_nm: Float64, pairs: Pairs, hcp: Bools, axes: Float64) -> list[_Layer]:
    """Return the layers of hcp particles that are neighbours in a plane normal to their axes."""
    inner = pairs[hcp[pairs].all(axis=1)]
    here, there = inner.T
    bonds = centres_nm[there] - centres_nm[here]
    bonds = bonds / np.linalg.norm(bonds, axis=1, keepdims=True)
    parallel = np.abs((axes[here] * axes[there]).sum(axis=1)) > np.cos(np.deg2rad(PARALLEL_DEG))
    along = [np.abs((bonds * axes[ends]).sum(axis=1)) for ends in (here, there)]
    flat = parallel & (np.maximum(*along) < IN_PLANE)
    labels = components(len(hcp), inner[flat])
    found, sizes = np.unique(labels[hcp], return_counts=True)
    return [
        _layer(centres_nm, axes, np.flatnonzero(hcp & (labels == one)))
        for one in found[sizes >= FEWEST_IN_LAYER]
    ]


def _layer(centres_nm: Float64, axes: Float64, members: Ints) -> _Layer:
    own = axes[members]
    normal = np.linalg.eigh(own.T @ own)[1][:, -1]  # the axes' mean, whatever their signs
    return _Layer(members, centres_nm[members], normal)


def _between_crystals(layer: _Layer, centres_nm: Float64, pairs: Pairs, structure: Ints) -> bool:
    """Return true if the neighbours on both sides of a layer are close-packed."""
    inside = np.zeros(len(structure), bool)
    inside[layer.members] = True
    here, there = pairs[inside[pairs[:, 0]] & ~inside[pairs[:, 1]]].T
    bonds = centres_nm[there] - centres_nm[here]
    along = bonds @ layer.normal / np.linalg.norm(bonds, axis=1)
    sides = (structure[np.unique(there[side])] for side in (along > IN_PLANE, along < -IN_PLANE))
    return all(
        np.isin(known, CLOSE_PACKED).sum() >= CRYSTAL_ON_A_SIDE * len(known)
        for known in (side[side != SURFACE] for side in sides)
    )


def _step(first: _Layer, second: _Layer, spacing_nm: float) -> int | None:
    """Return 0, 1 or 2 steps from one layer to a parallel one near it; else None."""
    cosine = float(first.normal @ second.normal)
    if abs(cosine) < np.cos(np.deg2rad(PARALLEL_LAYERS_DEG)):
        return None
    distance, nearest = cKDTree(second.places).query(first.places)
    close = distance < GAP * spacing_nm
    if not close.any():
        return None
    normal = first.normal + np.sign(cosine) * second.normal
    normal = normal / np.linalg.norm(normal)
    between = second.places[nearest[close]] - first.places[close]
    steps = abs(float(np.median(between @ normal))) / (LAYER_DISTANCE * spacing_nm)
    step = round(steps)
    return step if step <= 2 and abs(steps - step) < 0.35 else None


def _plane(layers: list[_Layer], spacing_nm: float) -> Plane:
    places = np.concatenate([layer.places for layer in layers])
    largest = max(layers, key=lambda layer: len(layer.members))
    normal = largest.normal * (1 if largest.normal[np.abs(largest.normal).argmax()] > 0 else -1)
    centre = places.mean(axis=0)
    heights = np.array([(layer.centre - centre) @ normal for layer in layers])
    levels = np.unique(np.rint((heights - heights.min()) / (LAYER_DISTANCE * spacing_nm)))
    members = np.concatenate([layer.members for layer in layers])
    return Plane(_kind(levels), members, len(levels), normal, centre)


def _kind(levels: Float64) -> PlaneKind:
    """Return the kind of a stack of hcp layers at levels that count close-packed layers."""
    if len(levels) == 1:
        return PlaneKind.TWIN
    if len(levels) == 2:
        return PlaneKind.INTRINSIC if levels[1] - levels[0] == 1 else PlaneKind.EXTRINSIC
    return PlaneKind.HCP
