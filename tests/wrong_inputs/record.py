"""Tilt series of bodies, recorded like those of the simulator: response, noise, jitter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from controller.model.scan import ScanSettings
from processing import TiltSeries
from simulator.series import DualSeries, simulate_dual
from simulator.settings import Packing, SimulatorSettings
from tests.wrong_inputs.bodies import Array, Body

PIXEL_NM = 0.9
FIELD_PX = 68
ANGLES_DEG = np.arange(-70.0, 73.0, 4.0)
ELECTRONS = 1310.0
"""Electrons in the beam for each pixel."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Input of one run: the series, and the centres of the particles that it shows.

    Attributes
    ----------
    series
        One tilt series, or A and B.
    truth_nm
        [n, 3] (x, y, z) in the frame of A; None where no count of spheres is right.
    diameter_nm
        Diameter of the particles, for the matching.
    """

    series: tuple[TiltSeries, ...]
    truth_nm: Array | None
    diameter_nm: float = 6.3


@dataclass(frozen=True)
class Recording:
    """Conditions under which a body is recorded."""

    angles_deg: Array
    electrons: float = ELECTRONS
    pixel_nm: float = PIXEL_NM
    field_px: int = FIELD_PX
    jitter_nm: float = 3.0
    angle_error_deg: float = 0.15
    seed: int = 0


USUAL = Recording(ANGLES_DEG)


def record(body: Body, how: Recording = USUAL) -> TiltSeries:
    """Record a tilt series of a body: I = 0.65 tanh(t / 57 nm), Poisson noise, a dark level."""
    rng = np.random.default_rng(how.seed)
    images = []
    for angle_deg in how.angles_deg + rng.normal(0, how.angle_error_deg, len(how.angles_deg)):
        t = np.deg2rad(angle_deg)
        x, y, z = body.points_nm.T
        u = x * np.cos(t) + z * np.sin(t) + rng.normal(0, how.jitter_nm)
        v = y + rng.normal(0, how.jitter_nm)
        gold_nm = _splat(v, u, body.gold_nm3, how)
        images.append(detected(0.65 * np.tanh(gold_nm / 57) + 0.002, how.electrons, rng))
    return TiltSeries(np.stack(images), how.angles_deg.copy(), how.pixel_nm)


def detected(fraction: Array, electrons: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return counts for a fraction of the beam: eight counts an electron over a dark level."""
    counts = 8 * rng.poisson(np.maximum(fraction, 0) * electrons) + 120
    return np.asarray(np.rint(counts + rng.normal(0, 6, fraction.shape)), np.float32)


def _splat(v_nm: Array, u_nm: Array, gold_nm3: Array, how: Recording) -> Array:
    """Project the points to thickness [y, u], nm, with bilinear weights and a probe of 0.3 nm."""
    n = how.field_px
    row, column = (at / how.pixel_nm + (n - 1) / 2 for at in (v_nm, u_nm))
    first_row, first_column = np.floor(row).astype(int), np.floor(column).astype(int)
    total = np.zeros(n * n)
    for down in (0, 1):
        for right in (0, 1):
            r, c = first_row + down, first_column + right
            weight = (1 - np.abs(row - r)) * (1 - np.abs(column - c)) * gold_nm3
            seen = (r >= 0) & (r < n) & (c >= 0) & (c < n)
            total += np.bincount(r[seen] * n + c[seen], weight[seen], n * n)
    thickness = total.reshape(n, n) / how.pixel_nm**2
    return np.asarray(ndimage.gaussian_filter(thickness, 0.3 / how.pixel_nm), np.float64)


@cache
def simulated(
    packing: Packing = Packing.DISORDERED,
    assembly_nm: float = 46.0,
    step_deg: float = 4.0,
    *,
    seed: int = 5,
    field_px: int = FIELD_PX,
    pixel_nm: float = PIXEL_NM,
    range_deg: float = 70.0,
    dwell_us: float = 3.0,
    both: bool = False,
    **specimen: float,
) -> DualSeries:
    """Return a simulated session; B has one image where it is not asked for."""
    settings = SimulatorSettings.model_validate(
        {
            "seed": seed,
            "specimen": {
                "packing": packing,
                "assembly_diameter_nm": assembly_nm,
                "other_assemblies_nm": [(300.0, 0.0)],
                **specimen,
            },
            "stage": {"tilt_error_deg": 0.15},
        }
    )
    scan = ScanSettings(width_px=field_px, height_px=field_px, pixel_nm=pixel_nm, dwell_us=dwell_us)
    angles = np.arange(-range_deg, range_deg + step_deg / 2, step_deg)
    return simulate_dual(
        settings, scan, angles, angles if both else (0.0,), 70.0, tracking_error_nm=3.0
    )


def sample_of(dual: DualSeries, *, pixel_nm: float = PIXEL_NM, both: bool = False) -> Sample:
    """Return the series of a simulated session with their truth."""
    a, b = (
        TiltSeries(one.counts.astype(np.float32), one.reported_deg.copy(), pixel_nm, name=name)
        for one, name in ((dual.a, "A"), (dual.b, "B"))
    )
    diameter_nm = float(dual.truth.diameters_nm.mean())
    return Sample((a, b) if both else (a,), dual.truth.centres_nm, diameter_nm)
