"""Pictures of a simulated assembly for the screenshots: a frame and slices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from controller.model.scan import ScanSettings
from simulator.detector import electrons_per_pixel, to_counts
from simulator.optics import render
from simulator.settings import DetectorSettings, OpticsSettings, SpecimenSettings
from simulator.specimen import Particles, make_assembly

Volume = NDArray[np.float64]
Picture = NDArray[np.uint8]

SCAN = ScanSettings(width_px=400, height_px=400, pixel_nm=0.45, dwell_us=10.0)
CURRENT_PA = 70.0
OPTICS = OpticsSettings()
DETECTOR = DetectorSettings()
THICK = SpecimenSettings(packing="multi-grain", assembly_diameter_nm=150.0)
SMALL = SpecimenSettings(packing="fcc", assembly_diameter_nm=112.0)
"""Assembly small enough to distinguish its particles on a terminal."""
SEED = 7
SLICE_SIDE_PX = 280


def pictures() -> dict[str, tuple[Picture, str]]:
    """Return a picture and a caption for each view."""
    sharp = slice_through_the_middle(make_assembly(SMALL, SEED))
    a, b = blurred_downwards(sharp), blurred_downwards(sharp[::-1])[::-1]
    return {
        "frame": (to_grey(frame(make_assembly(THICK, SEED), 10.0)), "frame A#41 +10.0°"),
        "slice-A": (to_grey(a), "A: x-z through the middle"),
        "slice-B": (to_grey(b), "B: x-z through the middle"),
        "slice-fused": (to_grey(sharp), "fused: x-z through the middle"),
        "slice-difference": (to_grey(b - a), "B - A: x-z through the middle"),
        "check-B": (to_grey(frame(make_assembly(THICK, SEED), 0.0)), "B at 0°, now"),
    }


def frame(particles: Particles, alpha_deg: float) -> Volume:
    """Simulate one HAADF frame [y, x], counts."""
    x, y, z = particles.centres_nm.T
    cos, sin = math.cos(math.radians(alpha_deg)), math.sin(math.radians(alpha_deg))
    tilted = np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=1)
    share = render(Particles(tilted, particles.diameters_nm), SCAN, OPTICS)
    electrons = electrons_per_pixel(CURRENT_PA, SCAN.dwell_us)
    counts = to_counts(share, electrons, DETECTOR, np.random.default_rng(1))
    return counts.astype(np.float64)


def slice_through_the_middle(particles: Particles) -> Volume:
    """Return the section [z, x] of the spheres at y = 0."""
    side = SLICE_SIDE_PX
    axis = (np.arange(side) - (side - 1) / 2) * SCAN.pixel_nm
    section = np.zeros((side, side))
    for (x, y, z), diameter in zip(particles.centres_nm, particles.diameters_nm, strict=True):
        radius_sq = (diameter / 2) ** 2 - y**2
        if radius_sq > 0:
            inside = np.add.outer((axis - z) ** 2, (axis - x) ** 2) < radius_sq
            section[inside] = 1.0
    return gaussian_filter(section, 1.0)


def blurred_downwards(section: Volume) -> Volume:
    """Blur a section as in one series: where the beam leaves, at low z."""
    out = np.zeros_like(section)
    weight = np.clip((np.arange(len(section))[:, None] / len(section) - 0.1) / 0.8, 0.0, 1.0)
    for share, sigma in ((weight, 1.0), (1 - weight, 7.0)):
        out += share * gaussian_filter(section, sigma)
    return out


def to_grey(image: Volume) -> Picture:
    """Scale an image to 8 bits, with clipped extremes."""
    low, high = np.percentile(image, (0.5, 99.8))
    return np.clip(255 * (image - low) / (high - low), 0, 255).astype(np.uint8)
