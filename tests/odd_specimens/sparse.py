"""Sparse specimens: a few spheres apart from each other, and atoms."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from controller.model.scan import ScanSettings
from processing.series import TiltSeries
from simulator import detector, imaging
from simulator.grid import FLIP
from simulator.settings import SimulatorSettings
from simulator.specimen import Particles
from simulator.stage import HolderPose
from tests.odd_specimens.scene import Float64
from tests.wrong_inputs.bodies import scattered

ANGLES_A, ANGLES_B = np.arange(-70.0, 75.0, 2.0), np.arange(-74.0, 73.0, 2.0)
D_NM, APART_NM = 6.3, 7.7
REACH_NM = {6: 16.0, 21: 20.0, 51: 25.0, 200: 37.0}
"""Radius of the ball that holds the particles, by their number."""
ATOM_PIXEL_NM, ATOM_FIELD_PX = 0.02, 128
ATOM_ANGLES = np.arange(0.0, 178.0, 3.0)
ATOM_SIGMA_NM, ATOM_APART_NM = 0.05, 0.27
ATOM_SCALE = 1.0e-4
"""Grey value of one electron: published series of atoms are stored as small floats."""


def spheres(number: int, seed: int) -> tuple[TiltSeries, TiltSeries, Particles]:
    """Record A and B of scattered spheres."""
    centres = scattered(number, REACH_NM[number], APART_NM, seed)
    rng = np.random.default_rng(seed)
    particles = Particles(centres, D_NM * (1 + 0.03 * rng.normal(size=len(centres)).clip(-2, 2)))
    turn = Rotation.from_euler("zxy", (37.0 + seed, 1.2, -0.8), degrees=True).as_matrix() @ FLIP
    flipped = Particles(centres @ turn.T, particles.diameters_nm)
    a = _record(particles, ANGLES_A, REACH_NM[number], rng, "A")
    b = _record(flipped, ANGLES_B, REACH_NM[number], rng, "B")
    return a, b, particles


def _record(
    particles: Particles, angles_deg: Float64, reach_nm: float, rng: np.random.Generator, name: str
) -> TiltSeries:
    side = int(np.ceil((2 * reach_nm + 24) / 4)) * 4
    scan = ScanSettings(width_px=side, height_px=side, dwell_us=5.0, pixel_nm=1.0)
    settings = SimulatorSettings()
    scene = imaging.Scene(particles, settings.specimen.film_thickness_nm)
    beam = detector.electrons_per_pixel(70.0, scan.dwell_us)
    images = []
    for angle_deg in angles_deg + rng.normal(0, 0.15, len(angles_deg)):
        pose = HolderPose(alpha_deg=angle_deg, image_shift_nm=tuple(rng.normal(0, 3.0, 2)))
        fraction = imaging.beam_fraction_image(scene, pose, pose, scan, settings, rng)
        images.append(detector.to_counts(fraction, beam, settings.detector, rng))
    return TiltSeries(np.stack(images).astype(np.float32), angles_deg.copy(), 1.0, name=name)


def atoms(seed: int) -> tuple[TiltSeries, Particles]:
    """Record one series of the atoms of a small fcc crystal, 0 to 177 degrees."""
    rng = np.random.default_rng(seed)
    half = np.arange(-6, 7)
    cube = np.stack(np.meshgrid(half, half, half, indexing="ij"), -1).reshape(-1, 3)
    sites = cube[cube.sum(axis=1) % 2 == 0] * ATOM_APART_NM / np.sqrt(2)
    sites = sites[np.linalg.norm(sites, axis=1) < 0.85]
    sites = Rotation.random(random_state=rng).apply(sites) + rng.normal(0, 0.01, sites.shape)
    images = []
    for angle_deg in ATOM_ANGLES + rng.normal(0, 0.1, len(ATOM_ANGLES)):
        t = np.deg2rad(angle_deg)
        u = sites[:, 0] * np.cos(t) + sites[:, 2] * np.sin(t)
        drift = rng.normal(0, 0.04, 2)
        images.append(rng.poisson(40 * _blobs(u + drift[0], sites[:, 1] + drift[1]) + 2))
    stack = (np.stack(images) * ATOM_SCALE).astype(np.float32)
    truth = Particles(sites, np.full(len(sites), 2 * np.sqrt(5) * ATOM_SIGMA_NM))
    return TiltSeries(stack, ATOM_ANGLES.copy(), ATOM_PIXEL_NM), truth


def _blobs(u_nm: Float64, v_nm: Float64) -> Float64:
    """Return the sum of one Gaussian of height 1 for each atom, [y, x]."""
    axis = (np.arange(ATOM_FIELD_PX) - (ATOM_FIELD_PX - 1) / 2) * ATOM_PIXEL_NM
    rows, columns = (
        np.exp(-((axis[:, None] - at[None, :]) ** 2) / (2 * ATOM_SIGMA_NM**2))
        for at in (v_nm, u_nm)
    )
    return np.asarray(rows @ columns.T, np.float64)
