"""Standard errors of positions beside the true errors, on simulated data.

`python -m tests.accuracy.position_errors PACKING NM DWELL SEED EVERY` records both series,
processes them, and prints a line of the table of docs/resolution.md for A, B and both. NM is the
diameter of the assembly, DWELL the dwell time in microseconds; every EVERY-th tilt of 2 degrees is
used.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from processing.files.particles import ParticleTable
from processing.pipeline.dual import combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.series import Float64
from simulator.rigid import fit_rigid, match_particles
from simulator.settings import Packing
from tests.accuracy.cases import Case
from tests.accuracy.measure import LARGEST_SHIFT_NM, TOLERANCE_NM
from tests.support.recorded import as_read

PIXEL_NM = 1.2
MARGIN_NM = 45.0
"""Field beyond the assembly."""
TOLERATED = 0.2
"""Largest difference of the total ratio from 1."""
THIRDS, LAYERS = 3, 5
"""Groups of as many particles each: by standard error, and by height."""


@dataclass(frozen=True, eq=False)
class Errors:
    """True errors and standard errors (nm) of the particles that are true, both [n, 3].

    Attributes
    ----------
    z_nm
        [n], height in the frame of A: its beam leaves at low z.
    """

    true_nm: Float64
    told_nm: Float64
    z_nm: Float64


def errors_of(truth_nm: Float64, table: ParticleTable) -> Errors:
    """Return the errors of a table of particles; particles without standard errors are left out."""
    rigid = fit_rigid(truth_nm, table.centres_nm, LARGEST_SHIFT_NM, TOLERANCE_NM)
    if rigid is None:
        raise SystemExit("the particles are not those of the truth")
    moved_nm = rigid(table.centres_nm)
    true_index, found_index = match_particles(truth_nm, moved_nm, TOLERANCE_NM)
    # spheres too faint to be moved by the last solution have no error
    known = ~np.isnan(table.centre_se_nm[found_index]).any(axis=1)
    true_index, found_index = true_index[known], found_index[known]
    true_nm = moved_nm[found_index] - truth_nm[true_index]
    return Errors(true_nm, table.centre_se_nm[found_index], truth_nm[true_index, 2])


def rms(values: Float64) -> Float64:
    """Return the rms of each column."""
    return np.asarray(np.sqrt((values**2).mean(axis=0)), np.float64)


def total_ratio(errors: Errors) -> float:
    """Return the rms of the true errors over that of the standard errors, of all axes together."""
    return float(np.linalg.norm(rms(errors.true_nm)) / np.linalg.norm(rms(errors.told_nm)))


def ratios_of_groups(errors: Errors, by: Float64, groups: int) -> Float64:
    """Return the rms ratio of single errors in groups of as many particles, from low to high."""
    ratios = (errors.true_nm / errors.told_nm) ** 2
    parts = np.array_split(np.argsort(by), groups)
    return np.array([float(np.sqrt(ratios[part].mean())) for part in parts])


def row(name: str, errors: Errors) -> str:
    """Return a line of the table: rms true and told, total ratio, by axis, error and height."""
    true_nm, told_nm = rms(errors.true_nm), rms(errors.told_nm)
    by_error = ratios_of_groups(errors, (errors.told_nm**2).sum(axis=1), THIRDS)
    by_height = ratios_of_groups(errors, errors.z_nm, LAYERS)
    cells = [
        *(" / ".join(f"{value:.3f}" for value in axes) for axes in (true_nm, told_nm)),
        f"{total_ratio(errors):.2f}",
        *(" / ".join(f"{value:.2f}" for value in parts) for parts in (true_nm / told_nm, by_error)),
        ", ".join(f"{value:.2f}" for value in by_height),
    ]
    return f"| {name} | {len(errors.z_nm)} | {' | '.join(cells)} |"


def measure(
    packing: Packing, assembly_nm: float, dwell_us: float, seed: int, every: int
) -> dict[str, Errors]:
    """Record and process both series; return the errors of A, B and both."""
    case = Case(
        packing.value,
        packing,
        assembly_nm=assembly_nm,
        pixels=int(np.ceil((assembly_nm + MARGIN_NM) / PIXEL_NM / 16) * 16),
        pixel_nm=PIXEL_NM,
        dwell_us=dwell_us,
        every=every,
    )
    data = case.record(seed)
    settings = ProcessSettings()
    a = process_series(as_read(data.a, PIXEL_NM, "A"), settings)
    b = process_series(as_read(data.b, PIXEL_NM, "B"), settings)
    fused = combine_series(a, b, settings)
    tables = {"A": a.detection.table, "B": fused.table_b, "both": fused.detection.table}
    return {name: errors_of(data.truth.centres_nm, table) for name, table in tables.items()}


def main(arguments: list[str]) -> int:
    """Print the lines of one data set; 1 if a total ratio is not within 20 %."""
    packing, assembly_nm, dwell_us, seed, every = arguments
    found = measure(Packing(packing), float(assembly_nm), float(dwell_us), int(seed), int(every))
    for name, errors in found.items():
        print(row(name, errors), flush=True)
    return int(any(abs(total_ratio(errors) - 1) > TOLERATED for errors in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
