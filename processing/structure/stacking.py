"""Twin planes and stacking faults: close-packed layers whose particles have hcp shells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.series import Bools, Float64
from processing.structure.classify import HCP
from processing.structure.grains import Ints, components
from processing.structure.orientations import Pairs
from processing.structure_results import PlaneKind, StackingPlane

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
LAYER_DISTANCE = float(np.sqrt(2 / 3))
"""Distance of close-packed layers, in spacings."""
GAP = 2.5
"""Largest gap between two parts of one layer, or of layers of one fault, in spacings."""


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
) -> list[StackingPlane]:
    """Return twin planes, stacking faults and hcp slabs, the largest first."""
    layers = _layers(centres_nm, pairs, structure == HCP, rotation[:, :, 2])
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
    large = [plane for plane in planes if plane.particles >= FEWEST_IN_PLANE]
    return sorted(large, key=lambda plane: -plane.particles)


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


def _plane(layers: list[_Layer], spacing_nm: float) -> StackingPlane:
    places = np.concatenate([layer.places for layer in layers])
    largest = max(layers, key=lambda layer: len(layer.members))
    normal = largest.normal * (1 if largest.normal[np.abs(largest.normal).argmax()] > 0 else -1)
    centre = places.mean(axis=0)
    heights = np.array([(layer.centre - centre) @ normal for layer in layers])
    levels = np.unique(np.rint((heights - heights.min()) / (LAYER_DISTANCE * spacing_nm)))
    return StackingPlane(
        kind=_kind(levels),
        particles=len(places),
        layers=len(levels),
        normal=(float(normal[0]), float(normal[1]), float(normal[2])),
        centre_nm=(float(centre[0]), float(centre[1]), float(centre[2])),
    )


def _kind(levels: Float64) -> PlaneKind:
    """Return the kind of a stack of hcp layers at levels that count close-packed layers."""
    if len(levels) == 1:
        return PlaneKind.TWIN
    if len(levels) == 2:
        return PlaneKind.INTRINSIC if levels[1] - levels[0] == 1 else PlaneKind.EXTRINSIC
    return PlaneKind.HCP
