"""How gold already crossed blurs and weakens what a HAADF detector sees of a particle.

Electrons are followed one by one through a uniform medium of gold at the assembly's fill. At
every depth a thin layer is added as if it were the last one, and the change it makes to the
detector's signal is recorded against the distance from the beam's axis: an electron that is on
the detector already can hardly add to it. Summed over depth these changes telescope to the whole
signal, so blur (the shape) and saturation (the area) come from this one table and neither is
counted twice.

``python -m simulator.transport`` makes the table anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0

Array = NDArray[np.float64]

VOLTAGE_KV = 300.0
INNER_MRAD = 62.0
OUTER_MRAD = 250.0
FILL = 0.39
"""Volume fraction of gold in the medium: it sets the lateral scale of the blur."""

GOLD_Z = 79
GOLD_ATOMS_PER_NM3 = 59.0
SCREENING_RAD = 0.025
BETA_SQUARED = 1.0 - (510.999 / (510.999 + VOLTAGE_KV)) ** 2

DEPTHS_AU_NM = np.concatenate([np.arange(0.0, 20.0, 2.0), np.arange(20.0, 120.1, 5.0)])
"""Solid gold crossed along the beam, nm: the rows of the table."""
FREQUENCIES_PER_NM = np.concatenate([[0.0], np.geomspace(0.003, 2.0, 47)])
"""Spatial frequencies, 1/nm: the columns of the table."""
_RADII_NM = np.concatenate([np.arange(0.0, 5.0, 0.02), np.arange(5.0, 60.0, 0.2), [60.0, 1e9]])
_TABLE = "transport_Au_300kV_62_250mrad.csv"


def mean_free_path_nm() -> float:
    """Elastic mean free path in solid gold, nm (Langmore and Smith 1992)."""
    beta = np.sqrt(BETA_SQUARED)
    sigma_nm2 = 1.4e-6 * GOLD_Z**1.5 / BETA_SQUARED * (1.0 - 0.26 * GOLD_Z / (137.0 * beta))
    return float(1.0 / (sigma_nm2 * GOLD_ATOMS_PER_NM3))


@dataclass(frozen=True, eq=False)
class Cloud:
    """Electrons at one depth: distance from the beam's axis [n] and angle to it [n]."""

    radii_nm: Array
    angles_rad: Array
    scattered: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Transport:
    """Transfer [depth, frequency]: signal per scattering of a thin layer under `depths_au_nm`.

    The first column is the response (probability that one more scattering adds to the signal),
    the others fall off with the blur.
    """

    depths_au_nm: Array
    frequencies_per_nm: Array
    transfer: Array

    def on(self, frequencies_per_nm: Array) -> Array:
        """Return the transfer [depth, frequency] at other frequencies, 1/nm."""
        return np.stack(
            [np.interp(frequencies_per_nm, self.frequencies_per_nm, row) for row in self.transfer]
        )


def clouds(electrons: int, rng: np.random.Generator, depths_au_nm: Array) -> list[Cloud]:
    """Follow `electrons` down the medium; return what arrives at each depth (nm of solid gold).

    Screened Rutherford scattering; lateral distances are those at a fill of `FILL`.
    Electrons turned back are lost.
    """
    path_nm = mean_free_path_nm() / FILL
    lateral = np.zeros((electrons, 2))
    direction = np.tile([0.0, 0.0, 1.0], (electrons, 1))
    scattered = np.zeros(electrons, dtype=bool)
    depth_nm, out = 0.0, []
    for plane_nm in depths_au_nm / FILL:
        left = np.full(len(lateral), plane_nm - depth_nm)
        flying = np.flatnonzero(left > 0)
        while len(flying):
            step = rng.exponential(path_nm, len(flying))
            down = direction[flying, 2]
            reaches = step * down >= left[flying]
            step = np.where(reaches, left[flying] / down, step)
            lateral[flying] += step[:, None] * direction[flying, :2]
            left[flying] -= step * down
            flying = flying[~reaches]
            scattered[flying] = True
            direction[flying] = _scatter(direction[flying], rng)
            flying = flying[direction[flying, 2] > 0.05]
        forward = direction[:, 2] > 0.05
        lateral, direction, scattered = lateral[forward], direction[forward], scattered[forward]
        depth_nm = plane_nm
        angles = np.arctan2(np.hypot(direction[:, 0], direction[:, 1]), direction[:, 2])
        out.append(Cloud(np.hypot(lateral[:, 0], lateral[:, 1]), angles, scattered.copy()))
    return out


def _scatter(direction: Array, rng: np.random.Generator) -> Array:
    """Turn unit vectors [n, 3] by a screened Rutherford angle about a random azimuth."""
    screening = np.sin(SCREENING_RAD / 2.0) ** 2
    chance = rng.random(len(direction))
    cosine = 1.0 - 2.0 * screening * chance / (1.0 + screening - chance)
    sine = np.sqrt(1.0 - cosine**2)
    azimuth = rng.uniform(0.0, 2.0 * np.pi, len(direction))
    # two unit vectors across the flight; x is never along it, for the beam goes down z
    across = np.cross(direction, [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-12
    other = np.cross(direction, across)
    side = across * np.cos(azimuth)[:, None] + other * np.sin(azimuth)[:, None]
    return np.asarray(direction * cosine[:, None] + side * sine[:, None])


def on_detector(angles_rad: Array) -> NDArray[np.bool_]:
    """Tell which angles the annular detector collects."""
    return (angles_rad >= INNER_MRAD * 1e-3) & (angles_rad < OUTER_MRAD * 1e-3)


@cache
def _gain_by_angle() -> tuple[Array, Array]:
    """Signal change by one scattering against the angle of arrival (quadrature)."""
    screening = np.sin(SCREENING_RAD / 2.0) ** 2
    chance = (np.arange(2000) + 0.5) / 2000
    cosine = 1.0 - 2.0 * screening * chance / (1.0 + screening - chance)
    azimuth = (np.arange(90) + 0.5) / 90 * np.pi
    arrivals = np.concatenate([np.linspace(0.0, 0.5, 251), np.linspace(0.52, np.pi / 2, 60)])
    sines = np.sqrt(1.0 - cosine**2)
    gains = []
    for arrival in arrivals:
        left = np.cos(arrival) * cosine[:, None] + np.sin(arrival) * sines[:, None] * np.cos(
            azimuth
        )
        hits = on_detector(np.arccos(np.clip(left, -1.0, 1.0))).mean()
        gains.append(hits - float(on_detector(np.array([arrival]))[0]))
    return arrivals, np.array(gains)


def gain(cloud: Cloud) -> Array:
    """Change of the signal [n] where each electron meets a thin layer, in scatterings.

    An oblique path through the layer is longer by 1/cos.
    """
    arrivals, gains = _gain_by_angle()
    # the detector's edges are steps: take the nearest angle, not a mean across the edge
    smooth = np.interp(cloud.angles_rad, arrivals, gains + on_detector(arrivals))
    return np.asarray((smooth - on_detector(cloud.angles_rad)) / np.cos(cloud.angles_rad))


def make(electrons: int, seed: int, depths_au_nm: Array = DEPTHS_AU_NM) -> Transport:
    """Make the table by Monte Carlo with so many electrons, in batches."""
    rng = np.random.default_rng(seed)
    batch = min(electrons, 100_000)
    rounds = electrons // batch
    profile = np.zeros((len(depths_au_nm), len(_RADII_NM) - 1))
    for _ in range(rounds):
        for row, cloud in zip(profile, clouds(batch, rng, depths_au_nm), strict=True):
            row += np.histogram(cloud.radii_nm, _RADII_NM, weights=gain(cloud))[0]
    centres = 0.5 * (_RADII_NM[:-1] + _RADII_NM[1:])
    centres[0] = 0.0  # the unscattered
    waves = j0(2.0 * np.pi * FREQUENCIES_PER_NM[None, :] * centres[:-1, None])
    waves = np.vstack([waves, FREQUENCIES_PER_NM == 0.0])  # the last bin is open: area only
    return Transport(depths_au_nm, FREQUENCIES_PER_NM, profile @ waves / (rounds * batch))


def save(table: Transport, path: Path) -> None:
    """Write the table as text: first row the frequencies, first column the depths."""
    body = np.column_stack([table.depths_au_nm, table.transfer])
    whole = np.vstack([np.concatenate([[0.0], table.frequencies_per_nm]), body])
    np.savetxt(path, whole, fmt="%.5g", delimiter=",")


@cache
def load() -> Transport:
    """Read the table that comes with the package."""
    source: Any = files("simulator") / "data" / _TABLE
    whole = np.loadtxt(source, delimiter=",")
    return Transport(whole[1:, 0], whole[0, 1:], whole[1:, 1:])


if __name__ == "__main__":
    save(make(electrons=8_000_000, seed=1), Path(__file__).parent / "data" / _TABLE)
