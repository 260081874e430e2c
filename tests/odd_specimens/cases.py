"""Simulated dual series with one fault each of specimen, film or detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from processing.series import TiltSeries
from simulator.series import DualSeries, Series, simulate_dual
from simulator.settings import (
    Packing,
    RemountSettings,
    ScanDistortionSettings,
    SimulatorSettings,
    SpecimenSettings,
    StageSettings,
)
from tests.support.spheres import image as sphere_image

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

PIXEL_NM = 0.9
ASSEMBLY_NM = 70.0
FIELD_PX = 112
ANGLES_A, ANGLES_B = np.arange(-70.0, 74.0, 4.0), np.arange(-72.0, 72.0, 4.0)
COUNTS_PER_NM = 200.0
"""Signal of one nm of gold in a thin specimen, counts, at the default dose."""
DARK_COUNTS = 120.0
FILM_NM = 28.0
"""Height of the film: that of the flat side of the assembly."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Projection of points in the frame of A into one image: [2, 3] matrix, then a shift (u, v)."""

    matrix: Float64
    beam: Float64
    """Direction towards the source in the frame of A."""
    shift_nm: Float64

    def project(self, points_nm: Float64) -> Float64:
        """Return (u, v) in nm from the image's centre, [n, 2]."""
        return np.asarray(points_nm @ self.matrix.T + self.shift_nm, np.float64)


Spoil = Callable[[Float32, list[Geometry], np.random.Generator], None]


@dataclass(frozen=True)
class Case:
    """One fault: settings of the simulator, or changes to the recorded images, or both."""

    name: str
    spoil: tuple[Spoil, ...] = ()
    specimen: dict[str, Any] = field(default_factory=dict)
    shear: float = 0.0
    shower_dose_e_per_A2: float = 1.0e4

    def record(self, packing: Packing, seed: int) -> tuple[TiltSeries, TiltSeries, DualSeries]:
        """Simulate both series and spoil their images."""
        chosen = {"other_assemblies_nm": (), "packing": packing, **self.specimen}
        settings = SimulatorSettings(
            seed=seed,
            specimen=SpecimenSettings(assembly_diameter_nm=ASSEMBLY_NM, **chosen),
            stage=StageSettings(tilt_error_deg=0.15),
            scan=ScanDistortionSettings(shear=self.shear),
            remount=RemountSettings(seat_tilt_deg=1.5, in_plane_deg=35.0 + seed),
        )
        scan = ScanSettings(width_px=FIELD_PX, height_px=FIELD_PX, dwell_us=5.0, pixel_nm=PIXEL_NM)
        dual = simulate_dual(
            settings,
            scan,
            ANGLES_A,
            ANGLES_B,
            70.0,
            tracking_error_nm=3.0,
            shower_dose_e_per_A2=self.shower_dose_e_per_A2,
        )
        rng = np.random.default_rng(seed)
        a = self._spoilt(dual.a, np.eye(3), "A", rng)
        b = self._spoilt(dual.b, dual.matrix.T, "B", rng)
        return a, b, dual

    def _spoilt(
        self, raw: Series, to_series: Float64, name: str, rng: np.random.Generator
    ) -> TiltSeries:
        images = raw.counts.astype(np.float32)
        views = [
            _geometry(angle, to_series, shift)
            for angle, shift in zip(raw.true_deg, raw.shifts_nm, strict=True)
        ]
        for spoil in self.spoil:
            spoil(images, views, rng)
        return TiltSeries(images, raw.reported_deg, PIXEL_NM, name=name)


def _geometry(angle_deg: float, to_series: Float64, shift_nm: Float64) -> Geometry:
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    axes = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]]) @ to_series
    return Geometry(axes[:2], axes[2], shift_nm)


def _signal(images: Float32) -> float:
    """Brightness of the assembly, counts."""
    return float(np.percentile(images, 99)) - DARK_COUNTS


def film(share: float, edge_nm: float = 12.0, hole_nm: float = 400.0) -> Spoil:
    """Film of a share of the assembly's brightness, with the edge of a round hole under it."""

    def spoil(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
        level = share * _signal(images)
        v, u = (np.mgrid[:FIELD_PX, :FIELD_PX] - (FIELD_PX - 1) / 2) * PIXEL_NM
        for image, view in zip(images, views, strict=True):
            seen = np.stack([u - view.shift_nm[0], v - view.shift_nm[1]], axis=-1)
            points = seen @ view.matrix
            points += ((FILM_NM - points[..., 2]) / view.beam[2])[..., None] * view.beam
            inside = hole_nm - np.hypot(points[..., 0] - edge_nm + hole_nm, points[..., 1])
            thickness = 1 / (1 + np.exp(np.clip(inside / 1.0, -40, 40)))
            image += rng.poisson(level / 8 * thickness / abs(view.beam[2])) * 8

    return spoil


def gradients(share: float) -> Spoil:
    """A ramp in each image that turns slowly with the tilt."""

    def spoil(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
        level = share * _signal(images)
        v, u = np.mgrid[:FIELD_PX, :FIELD_PX] / FIELD_PX - 0.5
        for number, image in enumerate(images):
            turn = number / 10
            image += level * (u * np.cos(turn) + v * np.sin(turn) + 2 * (u * v) + 1)

    return spoil


def contamination(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    """Carbon that grows with every image, thicker in the middle of the scanned field."""
    level = 0.05 * _signal(images)
    v, u = np.mgrid[:FIELD_PX, :FIELD_PX] / FIELD_PX - 0.5
    for number, image in enumerate(images):
        image += level * number / len(images) * np.exp(-(u**2 + v**2) / 0.25) * 2


def dark_level(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    images += np.linspace(0, 400, len(images))[:, None, None].astype(np.float32)


def stuck(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    for row, column, value in ((20, 31, 65535), (60, 58, 9000), (90, 40, 3000)):
        images[:, row, column] = value


def spikes(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    for image in images:
        rows, columns = rng.integers(0, FIELD_PX, (2, 2))
        image[rows, columns] += _signal(images) * rng.uniform(0.5, 8, 2)


def flyback(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    images[:, :, 0] *= 5
    images[:, :, 1] *= 2


def bad_images(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    """5 % of the images: blank, and lost."""
    images[len(images) // 3] = DARK_COUNTS
    images[len(images) // 2] = np.roll(images[len(images) // 2], (40, -30), (0, 1))


def loose(number: int) -> Spoil:
    """Single particles on the film around the assembly."""

    def spoil(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
        placed = np.random.default_rng(number)
        turn = placed.uniform(0, 2 * np.pi, number)
        far = placed.uniform(ASSEMBLY_NM / 2 + 6, ASSEMBLY_NM / 2 + 45, number)
        points = np.stack(
            [far * np.cos(turn), far * np.sin(turn), np.full(number, FILM_NM - 3)], axis=1
        )
        for image, view in zip(images, views, strict=True):
            seen = view.project(points) / PIXEL_NM
            flat = np.column_stack([seen, np.zeros(number)])
            chords = sphere_image(flat, 0.0, 6.3 / PIXEL_NM, FIELD_PX, (0.0, 0.0, 0.0))
            image += rng.poisson(chords * PIXEL_NM * COUNTS_PER_NM / 8) * 8

    return spoil


def flicker(images: Float32, views: list[Geometry], rng: np.random.Generator) -> None:
    factors = np.clip(rng.normal(1, 0.15, len(images)), 0.6, 1.4)
    images -= DARK_COUNTS
    images *= factors[:, None, None].astype(np.float32)
    images += DARK_COUNTS


ALONG, ACROSS = ((10.0, 75.0),), ((95.0, 5.0),)
"""Places of a neighbour of the same size: cut at the top of the field, and at its right."""

CASES: tuple[Case, ...] = (
    Case("clean"),
    *(Case(f"film {share:.1%}", (film(share),)) for share in (0.005, 0.02, 0.05, 0.1)),
    Case("gradients", (gradients(0.05),)),
    Case("contamination", (contamination,)),
    Case("dark level drifts", (dark_level,)),
    Case("stuck pixels", (stuck,)),
    Case("spikes", (spikes,)),
    Case("flyback", (flyback,)),
    Case("stuck, spikes and flyback", (stuck, spikes, flyback)),
    Case("bad images", (bad_images,)),
    Case("loose particles", (loose(16),)),
    Case("neighbour cut along the axis", specimen={"other_assemblies_nm": ALONG}),
    Case("neighbour cut across the axis", specimen={"other_assemblies_nm": ACROSS}),
    Case("flicker", (flicker,)),
    Case("shear", shear=0.004),
    Case("shrinkage", specimen={"shrinkage": 0.01}, shower_dose_e_per_A2=0.0),
    Case("size spread", specimen={"size_spread": 0.08}),
    Case(
        "all together",
        (flicker, film(0.02), loose(8), gradients(0.02), dark_level, stuck, spikes, flyback),
        specimen={"other_assemblies_nm": ALONG, "size_spread": 0.05, "shrinkage": 0.01},
        shear=0.004,
    ),
)
