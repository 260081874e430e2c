"""Standard errors of positions beside the true errors, on simulated data.

`python -m tests.accuracy.position_errors PACKING NM DWELL SEED EVERY` records both series,
processes them, and prints for A, B and both: the rms of the true errors and of the standard errors
per axis, their ratio, and that of each third of the particles by standard error. NM is the diameter
of the assembly, DWELL the dwell time in microseconds; every EVERY-th tilt of 2 degrees is used.
"""

from __future__ import annotations

import sys

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


def errors_of(truth_nm: Float64, table: ParticleTable) -> tuple[Float64, Float64]:
    """Return true errors and standard errors of the particles that are true, both [n, 3]."""
    rigid = fit_rigid(truth_nm, table.centres_nm, LARGEST_SHIFT_NM, TOLERANCE_NM)
    if rigid is None:
        raise SystemExit("the particles are not those of the truth")
    moved_nm = rigid(table.centres_nm)
    true_index, found_index = match_particles(truth_nm, moved_nm, TOLERANCE_NM)
    return moved_nm[found_index] - truth_nm[true_index], table.centre_se_nm[found_index]


def rms(values: Float64) -> Float64:
    """Return the rms of each column."""
    return np.asarray(np.sqrt((values**2).mean(axis=0)), np.float64)


def row(name: str, real: Float64, told: Float64) -> tuple[str, float]:
    """Return a line of the table, and the ratio of the rms of true errors and standard errors."""
    total = float(np.linalg.norm(rms(real)) / np.linalg.norm(rms(told)))
    by_error = np.array_split(np.argsort((told**2).sum(axis=1)), 3)
    thirds = [float(np.sqrt(((real[some] / told[some]) ** 2).mean())) for some in by_error]
    cells = (rms(real), rms(told), rms(real) / rms(told), np.array(thirds))
    parts = [" / ".join(f"{value:.3f}" for value in cell) for cell in cells[:2]]
    parts += [" / ".join(f"{value:.2f}" for value in cell) for cell in cells[2:]]
    return f"| {name} | {len(real)} | {' | '.join([*parts, f'{total:.2f}'])} |", total


def main(arguments: list[str]) -> int:
    """Print the table of one data set; 1 if a total ratio is not within 20 %."""
    packing, assembly_nm, dwell_us, seed, every = arguments
    case = Case(
        packing,
        Packing(packing),
        assembly_nm=float(assembly_nm),
        pixels=int(np.ceil((float(assembly_nm) + MARGIN_NM) / PIXEL_NM / 16) * 16),
        pixel_nm=PIXEL_NM,
        dwell_us=float(dwell_us),
        every=int(every),
    )
    data = case.record(int(seed))
    settings = ProcessSettings()
    a = process_series(as_read(data.a, PIXEL_NM, "A"), settings)
    b = process_series(as_read(data.b, PIXEL_NM, "B"), settings)
    fused = combine_series(a, b, settings)
    tables = {"A": a.detection.table, "B": fused.table_b, "both": fused.detection.table}
    ratios = []
    for name, table in tables.items():
        line, total = row(name, *errors_of(data.truth.centres_nm, table))
        print(line, flush=True)
        ratios.append(total)
    return int(any(abs(total - 1) > TOLERATED for total in ratios))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
