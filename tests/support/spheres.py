"""Projections of spheres, drawn chord by chord: shares no formula with the code under test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.series import TiltSeries

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """How the images were taken: what alignment has to find out."""

    shifts_px: Float64
    """[tilt, (y, x)] by which each image is displaced."""
    angle_errors_deg: Float64
    """[tilt], true minus reported."""
    tilt_axis_deg: float = 0.0
    """In-plane turn of every image, from +y towards -x."""
    counts: float | None = None
    """Counts in the brightest pixel; no noise if None."""


def jittered(
    tilts: int, *, jitter_px: float, angle_error_deg: float, counts: float | None, seed: int
) -> Recording:
    """Independent jitter a tilt on top of a slow drift."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, jitter_px / 10, (tilts, 2)), axis=0)
    return Recording(
        drift + rng.normal(0, jitter_px, (tilts, 2)),
        rng.normal(0, angle_error_deg, tilts),
        counts=counts,
    )


def packed(radius: float, spacing: float, *, order: str, seed: int) -> Float64:
    """Centres (x, y, z) of an assembly: `fcc` turned at random, or `disordered`."""
    rng = np.random.default_rng(seed)
    if order == "fcc":
        half = int(np.ceil(2 * radius / spacing))
        i, j, k = np.mgrid[-half : half + 1, -half : half + 1, -half : half + 1].reshape(3, -1)
        lattice = np.stack([j + k, i + k, i + j], axis=1) * spacing / np.sqrt(2)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        points = lattice @ turn
    else:
        step = spacing * 1.03
        half = int(np.ceil(radius / step)) + 1
        grid = np.stack(np.mgrid[-half:half, -half:half, -half:half], axis=-1).reshape(-1, 3)
        points = grid * step + rng.uniform(-0.1, 0.1, grid.shape) * step
    return np.asarray(points[np.linalg.norm(points, axis=1) < radius], np.float64)


def image(
    centres: Float64, angle_deg: float, diameter: float, size: int, recording: tuple[float, ...]
) -> Float64:
    """Thickness [y, u] in pixels of spheres seen at one tilt; recording = (dy, dx, turn_deg)."""
    dy, dx, turn_deg = recording
    tilt, turn = np.deg2rad([angle_deg, turn_deg])
    u = centres[:, 0] * np.cos(tilt) + centres[:, 2] * np.sin(tilt)
    y = centres[:, 1]
    middle = (size - 1) / 2
    column = u * np.cos(turn) - y * np.sin(turn) + dx + middle
    row = u * np.sin(turn) + y * np.cos(turn) + dy + middle
    radius, fine = diameter / 2, 3
    reach = int(np.ceil(radius)) + 1
    offsets = np.arange(-reach, reach + 1)
    sub = (np.arange(fine) + 0.5) / fine - 0.5
    total = np.zeros((size, size))
    rows = np.round(row)[:, None, None].astype(int) + offsets[:, None]
    columns = np.round(column)[:, None, None].astype(int) + offsets[None, :]
    chord = np.zeros((len(centres), len(offsets), len(offsets)))
    for a in sub:
        for b in sub:
            square = (rows + a - row[:, None, None]) ** 2
            square = square + (columns + b - column[:, None, None]) ** 2
            chord += 2 * np.sqrt(np.maximum(radius**2 - square, 0)) / fine**2
    rows, columns = np.broadcast_arrays(rows, columns)
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    np.add.at(total, (rows[inside], columns[inside]), chord[inside])
    return total


def tilt_series(
    centres: Float64,
    angles_deg: Float64,
    diameter: float,
    size: int,
    recording: Recording | None = None,
    seed: int = 0,
) -> TiltSeries:
    """Images of spheres at 1 nm a pixel; lengths in pixels."""
    rng = np.random.default_rng(seed)
    taken = recording or Recording(np.zeros((len(angles_deg), 2)), np.zeros(len(angles_deg)))
    images = np.stack(
        [
            image(centres, angle + error, diameter, size, (dy, dx, taken.tilt_axis_deg))
            for angle, error, (dy, dx) in zip(
                angles_deg, taken.angle_errors_deg, taken.shifts_px, strict=True
            )
        ]
    )
    if taken.counts is not None:
        scale = taken.counts / images.max()
        images = rng.poisson(images * scale) / scale
    return TiltSeries(images.astype(np.float32), np.asarray(angles_deg, float), 1.0)
