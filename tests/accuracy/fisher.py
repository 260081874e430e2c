"""`python -m tests.accuracy.fisher [--size NM ...] [--step DEG]`: what images can show at most.

For each size of an assembly, the Fisher information on the place of one particle in all images of
one series, and of two, with the blur and the weakening of the beam of the simulator, and the noise
of electrons. All else is taken as known: the poses, the beam, and every other particle. The bound
(Cramer and Rao) is the share of the particles whose place the images alone fix to a quarter of a
diameter; no method that uses nothing else finds more. Prints size, share for one series, errors of
the place (nm; median, and of the worst tenth and hundredth), and the same for two series.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from simulator import transport
from simulator.envelope import film_height_nm, inside_assembly
from simulator.grid import FLIP
from simulator.settings import SpecimenSettings
from tests.accuracy.thick import CURRENT_PA, DWELL_US_PER_NM2, FIRST_DEG, RANGE_DEG
from tests.calibration.measure import TOLERANCE

Array = NDArray[np.float64]

ELECTRONS_PER_NM2 = CURRENT_PA * 1e-12 * DWELL_US_PER_NM2 * 1e-6 / 1.602e-19
"""Dose of an image."""
FILLED = 0.7405 / SpecimenSettings().spacing_ratio ** 3
"""Share of gold in a close packing of spheres at the usual distance."""
FINEST_PER_NM = 0.5
"""Largest spatial frequency that counts: images of 1 nm pixels hold no finer detail."""
SATURATED, SATURATION_NM = 0.65, 57.0
"""Fraction of the beam that thick gold scatters onto the detector, and its scale of thickness."""
POINTS, DRAWS = 4000, 64
"""Particles at random places of the assembly, and errors drawn for each."""


def paths_nm(points: Array, towards: Array, settings: SpecimenSettings) -> Array:
    """Return the ways [n] from points [n, 3] in one direction [3] out of the assembly."""
    radius = settings.assembly_diameter_nm / 2
    along = points @ towards
    out = -along + np.sqrt(along**2 + radius**2 - (points**2).sum(axis=1))
    if towards[2] > 0:
        out = np.minimum(out, (film_height_nm(settings) - points[:, 2]) / towards[2])
    return np.asarray(out, np.float64)


def information_of_path(diameter_nm: float) -> tuple[Array, Array]:
    """Return ways through gold (nm), and after each the information on a place, per electron.

    It is that along one axis of the image, in a background of 1 electron for each electron of the
    beam, nm^-2 for an electron per nm^2.
    """
    table = transport.load_table()
    frequency = np.linspace(1e-3, FINEST_PER_NM, 400)
    phase = np.pi * diameter_nm * frequency
    volume = np.pi / 6 * diameter_nm**3
    sphere = volume * 3 * (np.sin(phase) - phase * np.cos(phase)) / phase**3
    signal = sphere * table.at_frequencies(frequency) / transport.mean_free_path_nm()
    density = (2 * np.pi * frequency) ** 2 / 2 * signal**2 * 2 * np.pi * frequency
    return table.depths_au_nm, np.trapezoid(density, frequency, axis=1)


def information(points: Array, angles_deg: Array, turn: Array, settings: SpecimenSettings) -> Array:
    """Return the information [n, 3, 3] on the places of points in the images of one series.

    `turn` [3, 3] brings the frame of the assembly into that of the holder.
    """
    depths_nm, per_electron = information_of_path(settings.particle_diameter_nm)
    total = np.zeros((len(points), 3, 3))
    for tilt in np.deg2rad(angles_deg):
        source = np.array([-np.sin(tilt), 0.0, np.cos(tilt)]) @ turn
        before_nm, after_nm = (
            FILLED * paths_nm(points, side, settings) for side in (source, -source)
        )
        background = SATURATED * np.tanh((before_nm + after_nm) / SATURATION_NM)
        # beyond the table, under 300 nm of an assembly, a particle has no more contrast
        shown = np.interp(before_nm, depths_nm, per_electron, right=0.0)
        weight = ELECTRONS_PER_NM2 * shown / np.maximum(background, 1e-3)
        total += weight[:, None, None] * (np.eye(3) - np.outer(source, source))
    return total


def found_at_most(total: Array, tolerance_nm: float, rng: np.random.Generator) -> Array:
    """Return the chance [n] that an error with this information [n, 3, 3] is within tolerance."""
    values = np.linalg.eigvalsh(total)
    errors = rng.standard_normal((DRAWS, len(total), 3)) / np.sqrt(np.maximum(values, 1e-12))
    return np.asarray((np.linalg.norm(errors, axis=2) < tolerance_nm).mean(axis=0), np.float64)


def row(size_nm: float, step_deg: float) -> str:
    """Return the row of one size: bound of one series and of two, and the worst errors."""
    settings = SpecimenSettings(assembly_diameter_nm=size_nm)
    rng = np.random.default_rng(0)
    points = rng.uniform(-size_nm / 2, size_nm / 2, (4 * POINTS, 3))
    points = points[inside_assembly(points, settings)][:POINTS]
    a, b = (
        information(
            points,
            np.arange(first_deg, first_deg + RANGE_DEG + step_deg / 2, step_deg),
            turn,
            settings,
        )
        for first_deg, turn in zip(FIRST_DEG.values(), (np.eye(3), FLIP), strict=True)
    )
    tolerance_nm = TOLERANCE * settings.particle_diameter_nm
    cells = [f"{size_nm:g} nm"]
    for total in (a, a + b):
        share = found_at_most(total, tolerance_nm, rng)
        errors_nm = np.sqrt(np.trace(np.linalg.inv(total), axis1=1, axis2=2))
        worst = np.quantile(errors_nm, (0.5, 0.9, 0.99))
        cells += [f"{share.mean():.4f}", "/".join(f"{each:.2g}" for each in worst)]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.fisher", description=__doc__)
    parser.add_argument("--size", type=float, nargs="+", default=(110, 165, 220, 300, 400, 500))
    parser.add_argument("--step", type=float, default=2.0, metavar="DEG")
    chosen = parser.parse_args(arguments)
    for size_nm in chosen.size:
        print(row(size_nm, chosen.step), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
