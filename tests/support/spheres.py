"""Projections of spheres from chord lengths, a method that the tested code does not use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.series import TiltSeries

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """Recording errors of a series, which alignment must find."""

    shifts_px: Float64
    """[tilt, (y, x)], displacement of each image."""
    angle_errors_deg: Float64
    """[tilt], true angle minus reported angle."""
    tilt_axis_deg: float = 0.0
    """In-plane angle of the tilt axis in every image, from +y towards -x."""
    counts: float | None = None
    """Counts in the brightest pixel; None for images without noise."""


def jittered(
    tilts: int, *, jitter_px: float, angle_error_deg: float, counts: float | None, seed: int
) -> Recording:
    """Return a recording with independent jitter at each tilt and a slow drift."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, jitter_px / 10, (tilts, 2)), axis=0)
    return Recording(
        drift + rng.normal(0, jitter_px, (tilts, 2)),
        rng.normal(0, angle_error_deg, tilts),
        counts=counts,
    )


def packed(radius: float, spacing: float, *, order: str, seed: int) -> Float64:
    """Return the centres [n, 3] (x, y, z) of an assembly: `fcc`, randomly rotated, or `disordered`.

    Particles are `spacing` apart inside a sphere of `radius`.
    """
    rng = np.random.default_rng(seed)
    if order == "fcc":
        half = int(np.ceil(2 * radius / spacing))
        i, j, k = np.mgrid[-half : half + 1, -half : half + 1, -half : half + 1].reshape(3, -1)
        lattice = np.stack([j + k, i + k, i + j], axis=1) * spacing / np.sqrt(2)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        points = lattice @ rotation
    else:
        step = spacing * 1.03
        half = int(np.ceil(radius / step)) + 1
        grid = np.stack(np.mgrid[-half:half, -half:half, -half:half], axis=-1).reshape(-1, 3)
        points = grid * step + rng.uniform(-0.1, 0.1, grid.shape) * step
    return np.asarray(points[np.linalg.norm(points, axis=1) < radius], np.float64)


def image(
    centres: Float64, angle_deg: float, diameter: float, size: int, recording: tuple[float, ...]
) -> Float64:
    """Project spheres at one tilt: thickness [y, u] in pixels; recording = (dy, dx, axis_deg)."""
    dy, dx, axis_deg = recording
    tilt, axis = np.deg2rad([angle_deg, axis_deg])
    u = centres[:, 0] * np.cos(tilt) + centres[:, 2] * np.sin(tilt)
    y = centres[:, 1]
    middle = (size - 1) / 2
    column = u * np.cos(axis) - y * np.sin(axis) + dx + middle
    row = u * np.sin(axis) + y * np.cos(axis) + dy + middle
    radius, oversampling = diameter / 2, 3
    half_side = int(np.ceil(radius)) + 1
    offsets = np.arange(-half_side, half_side + 1)
    sub_pixels = (np.arange(oversampling) + 0.5) / oversampling - 0.5
    total = np.zeros((size, size))
    rows = np.round(row)[:, None, None].astype(int) + offsets[:, None]
    columns = np.round(column)[:, None, None].astype(int) + offsets[None, :]
    chord = np.zeros((len(centres), len(offsets), len(offsets)))
    for a in sub_pixels:
        for b in sub_pixels:
            square = (rows + a - row[:, None, None]) ** 2
            square = square + (columns + b - column[:, None, None]) ** 2
            chord += 2 * np.sqrt(np.maximum(radius**2 - square, 0)) / oversampling**2
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
    """Return a tilt series of spheres at 1 nm a pixel; all lengths are in pixels."""
    rng = np.random.default_rng(seed)
    errors = recording or Recording(np.zeros((len(angles_deg), 2)), np.zeros(len(angles_deg)))
    images = np.stack(
        [
            image(centres, angle + error, diameter, size, (dy, dx, errors.tilt_axis_deg))
            for angle, error, (dy, dx) in zip(
                angles_deg, errors.angle_errors_deg, errors.shifts_px, strict=True
            )
        ]
    )
    if errors.counts is not None:
        scale = errors.counts / images.max()
        images = rng.poisson(images * scale) / scale
    return TiltSeries(images.astype(np.float32), np.asarray(angles_deg, float), 1.0)
