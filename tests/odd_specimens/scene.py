"""Simulated series as the faults see them: its size, the views and the true particles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.specimen import Particles

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

COUNTS_PER_NM = 200.0
"""Signal of one nm of gold in a thin specimen, counts, at the default dose."""
DARK_COUNTS = 120.0
MARGIN_NM = 31.0
"""Field beyond the assembly, both sides together."""
FLATTENING = 0.1
"""Share of the diameter that is missing on the side of the film."""


@dataclass(frozen=True)
class Size:
    """Size of the assembly and of the pixels; the field follows from them."""

    assembly_nm: float = 64.0
    pixel_nm: float = 1.0

    @property
    def field_px(self) -> int:
        """Side of the field: a multiple of four pixels."""
        return int(np.ceil((self.assembly_nm + MARGIN_NM) / self.pixel_nm / 4)) * 4

    @property
    def film_nm(self) -> float:
        """Height of the film: that of the flat side of the assembly."""
        return self.assembly_nm * (0.5 - FLATTENING)


@dataclass(frozen=True, eq=False)
class View:
    """Projection of points in the frame of A into one image: [2, 3] matrix, then a shift (u, v)."""

    matrix: Float64
    beam: Float64
    """Direction towards the source in the frame of A."""
    shift_nm: Float64

    @classmethod
    def at(cls, angle_deg: float, to_series: Float64, shift_nm: Float64) -> View:
        """Return the view at a tilt of a series; `to_series` turns the frame of A into its own."""
        cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        axes = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]]) @ to_series
        return cls(axes[:2], axes[2], shift_nm)

    def project(self, points_nm: Float64) -> Float64:
        """Return (u, v) in nm from the image's centre, [n, 2]."""
        return np.asarray(points_nm @ self.matrix.T + self.shift_nm, np.float64)


@dataclass(frozen=True, eq=False)
class Scene:
    """Contents of the images of one series, as far as a fault has to know them."""

    size: Size
    views: tuple[View, ...]
    particles: Particles
    """True particles of the assembly in the frame of A."""
    rng: np.random.Generator

    def grid(self) -> tuple[Float64, Float64]:
        """Return the positions (v, u) of the pixels in fields, -0.5 to 0.5."""
        n = self.size.field_px
        v, u = np.mgrid[:n, :n] / n - 0.5
        return v, u


Spoil = Callable[[Float32, Scene], None]
"""Fault that changes the images [tilt, y, x] in place."""


def signal(images: Float32) -> float:
    """Return the brightness of the assembly, counts."""
    return float(np.percentile(images, 99)) - DARK_COUNTS
