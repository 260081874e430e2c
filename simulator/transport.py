"""Table of blur and saturation: the HAADF signal of a particle under gold already crossed.

Electrons are traced one by one (Monte Carlo) through a uniform medium with the gold fraction of
the assembly. At every depth, the table records how much one more thin layer would change the
detector signal, against the distance from the beam axis. An electron that is already on the
detector adds almost nothing. The sum of these changes over depth is the total signal. Blur
(the shape) and saturation (the area) therefore come from one table, and neither is counted twice.

``python -m simulator.transport`` computes the table anew.
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

from simulator.transport_conditions import INNER_MRAD, OUTER_MRAD, VOLTAGE_KV

Array = NDArray[np.float64]

FILL_FRACTION = 0.39
"""Volume fraction of gold in the medium; it sets the lateral scale of the blur."""

GOLD_Z = 79
GOLD_ATOMS_PER_NM3 = 59.0
SCREENING_RAD = 0.025
BETA_SQUARED = 1.0 - (510.999 / (510.999 + VOLTAGE_KV)) ** 2

DEPTHS_AU_NM = np.concatenate([np.arange(0.0, 20.0, 2.0), np.arange(20.0, 120.1, 5.0)])
"""Thickness of solid gold crossed along the beam: rows of the table."""
FREQUENCIES_PER_NM = np.concatenate([[0.0], np.geomspace(0.003, 2.0, 47)])
"""Spatial frequencies: columns of the table."""
_RADII_NM = np.concatenate([np.arange(0.0, 5.0, 0.02), np.arange(5.0, 60.0, 0.2), [60.0, 1e9]])
_TABLE = "transport_Au_300kV_62_250mrad.csv"


def mean_free_path_nm() -> float:
    """Return the elastic mean free path in solid gold, nm (Langmore and Smith 1992)."""
    beta = np.sqrt(BETA_SQUARED)
    sigma_nm2 = 1.4e-6 * GOLD_Z**1.5 / BETA_SQUARED * (1.0 - 0.26 * GOLD_Z / (137.0 * beta))
    return float(1.0 / (sigma_nm2 * GOLD_ATOMS_PER_NM3))


@dataclass(frozen=True, eq=False)
class ArrivingElectrons:
    """Electrons at one depth: distance from the beam axis [n], angle to it [n], scattered [n]."""

    radii_nm: Array
    angles_rad: Array
    scattered: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TransferTable:
    """Transfer [depth, frequency]: signal per scattering event in a thin layer at each depth.

    The first column is the response: the probability that one more scattering event adds to the
    signal. The other columns are smaller because of the blur.
    """

    depths_au_nm: Array
    frequencies_per_nm: Array
    transfer: Array

    def at_frequencies(self, frequencies_per_nm: Array) -> Array:
        """Return the transfer [depth, frequency], interpolated at these frequencies, 1/nm."""
        return np.stack(
            [np.interp(frequencies_per_nm, self.frequencies_per_nm, row) for row in self.transfer]
        )


def trace_electrons(
    number: int, rng: np.random.Generator, depths_au_nm: Array
) -> list[ArrivingElectrons]:
    """Trace electrons down the medium; return those that arrive at each depth (nm of solid gold).

    Screened Rutherford scattering. Lateral distances are those in a medium of `FILL_FRACTION`.
    Backscattered electrons are dropped.
    """
    path_nm = mean_free_path_nm() / FILL_FRACTION
    lateral = np.zeros((number, 2))
    direction = np.tile([0.0, 0.0, 1.0], (number, 1))
    scattered = np.zeros(number, dtype=bool)
    depth_nm, arrived = 0.0, []
    for plane_nm in depths_au_nm / FILL_FRACTION:
        remaining_nm = np.full(len(lateral), plane_nm - depth_nm)
        in_flight = np.flatnonzero(remaining_nm > 0)
        while len(in_flight):
            step = rng.exponential(path_nm, len(in_flight))
            down = direction[in_flight, 2]
            reaches = step * down >= remaining_nm[in_flight]
            step = np.where(reaches, remaining_nm[in_flight] / down, step)
            lateral[in_flight] += step[:, None] * direction[in_flight, :2]
            remaining_nm[in_flight] -= step * down
            in_flight = in_flight[~reaches]
            scattered[in_flight] = True
            direction[in_flight] = _scatter(direction[in_flight], rng)
            in_flight = in_flight[direction[in_flight, 2] > 0.05]
        forward = direction[:, 2] > 0.05
        lateral, direction, scattered = lateral[forward], direction[forward], scattered[forward]
        depth_nm = plane_nm
        angles = np.arctan2(np.hypot(direction[:, 0], direction[:, 1]), direction[:, 2])
        arrived.append(
            ArrivingElectrons(np.hypot(lateral[:, 0], lateral[:, 1]), angles, scattered.copy())
        )
    return arrived


def _scattering_cosine(quantile: Array) -> Array:
    """Return the cosine of the screened Rutherford angle at each quantile [n], 0 to 1."""
    screening = np.sin(SCREENING_RAD / 2.0) ** 2
    return np.asarray(1.0 - 2.0 * screening * quantile / (1.0 + screening - quantile))


def _scatter(direction: Array, rng: np.random.Generator) -> Array:
    """Scatter unit vectors [n, 3] by a screened Rutherford angle at a random azimuth."""
    cosine = _scattering_cosine(rng.random(len(direction)))
    sine = np.sqrt(1.0 - cosine**2)
    azimuth = rng.uniform(0.0, 2.0 * np.pi, len(direction))
    # two unit vectors perpendicular to the direction, which is never along x: the beam is along z
    across = np.cross(direction, [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-12
    other = np.cross(direction, across)
    side = across * np.cos(azimuth)[:, None] + other * np.sin(azimuth)[:, None]
    return np.asarray(direction * cosine[:, None] + side * sine[:, None])


def is_collected(angles_rad: Array) -> NDArray[np.bool_]:
    """Return which angles [n] the annular detector collects: a mask [n]."""
    return (angles_rad >= INNER_MRAD * 1e-3) & (angles_rad < OUTER_MRAD * 1e-3)


@cache
def _gain_by_angle() -> tuple[Array, Array]:
    """Return angles of arrival and the signal change by one scattering at each (quadrature)."""
    cosine = _scattering_cosine((np.arange(2000) + 0.5) / 2000)
    azimuth = (np.arange(90) + 0.5) / 90 * np.pi
    arrivals = np.concatenate([np.linspace(0.0, 0.5, 251), np.linspace(0.52, np.pi / 2, 60)])
    sines = np.sqrt(1.0 - cosine**2)
    gains = []
    for arrival in arrivals:
        cosines = np.cos(arrival) * cosine[:, None] + np.sin(arrival) * sines[:, None] * np.cos(
            azimuth
        )
        hits = is_collected(np.arccos(np.clip(cosines, -1.0, 1.0))).mean()
        gains.append(hits - float(is_collected(np.array([arrival]))[0]))
    return arrivals, np.array(gains)


def signal_gain(electrons: ArrivingElectrons) -> Array:
    """Return the signal change [n] per scattering event as each electron crosses a thin layer.

    An oblique path through the layer is longer by 1/cos.
    """
    arrivals, gains = _gain_by_angle()
    # the gain jumps at the edges of the detector: interpolate without the jump, then add it back
    smooth = np.interp(electrons.angles_rad, arrivals, gains + is_collected(arrivals))
    return np.asarray((smooth - is_collected(electrons.angles_rad)) / np.cos(electrons.angles_rad))


def simulate_table(electrons: int, seed: int, depths_au_nm: Array = DEPTHS_AU_NM) -> TransferTable:
    """Compute the table by Monte Carlo with a number of electrons, in batches."""
    rng = np.random.default_rng(seed)
    batch = min(electrons, 100_000)
    rounds = electrons // batch
    profile = np.zeros((len(depths_au_nm), len(_RADII_NM) - 1))
    for _ in range(rounds):
        for row, arrived in zip(profile, trace_electrons(batch, rng, depths_au_nm), strict=True):
            row += np.histogram(arrived.radii_nm, _RADII_NM, weights=signal_gain(arrived))[0]
    centres = 0.5 * (_RADII_NM[:-1] + _RADII_NM[1:])
    centres[0] = 0.0  # unscattered electrons
    waves = j0(2.0 * np.pi * FREQUENCIES_PER_NM[None, :] * centres[:-1, None])
    # the last bin has no outer edge: it adds to the area only
    waves = np.vstack([waves, FREQUENCIES_PER_NM == 0.0])
    return TransferTable(depths_au_nm, FREQUENCIES_PER_NM, profile @ waves / (rounds * batch))


def save_table(table: TransferTable, path: Path) -> None:
    """Write the table as CSV: frequencies in the first row, depths in the first column."""
    body = np.column_stack([table.depths_au_nm, table.transfer])
    whole = np.vstack([np.concatenate([[0.0], table.frequencies_per_nm]), body])
    np.savetxt(path, whole, fmt="%.5g", delimiter=",")


@cache
def load_table() -> TransferTable:
    """Read the table that comes with the package."""
    source: Any = files("simulator") / "data" / _TABLE
    whole = np.loadtxt(source, delimiter=",")
    return TransferTable(whole[1:, 0], whole[0, 1:], whole[1:, 1:])


if __name__ == "__main__":
    save_table(simulate_table(electrons=8_000_000, seed=1), Path(__file__).parent / "data" / _TABLE)
