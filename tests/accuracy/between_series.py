"""Positions in A and in B compared, beside their true errors.

`python -m tests.accuracy.between_series PACKING NM DWELL SEED [N]` prints the rms error of A, of B
and of the fused result, and the rms difference between A and B, which needs no truth. NM is the
diameter of the assembly, DWELL the dwell time in microseconds; N uses every N-th tilt.
"""

from __future__ import annotations

import sys

import numpy as np

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


def matched(truth_nm: Float64, found_nm: Float64) -> tuple[Float64, Float64]:
    """Return position and error of each true particle [n, 3], after one rigid fit.

    Both are NaN for a particle that is missing.
    """
    places, errors = np.full((2, *truth_nm.shape), np.nan)
    rigid = fit_rigid(truth_nm, found_nm, LARGEST_SHIFT_NM, TOLERANCE_NM)
    if rigid is not None:
        moved_nm = rigid(found_nm)
        true_index, found_index = match_particles(truth_nm, moved_nm, TOLERANCE_NM)
        places[true_index] = found_nm[found_index]
        errors[true_index] = moved_nm[found_index] - truth_nm[true_index]
    return places, errors


def main() -> None:
    """Simulate and process one data set, and print its errors."""
    packing, assembly_nm, dwell_us, seed, *every = sys.argv[1:]
    case = Case(
        packing,
        Packing(packing),
        assembly_nm=float(assembly_nm),
        pixels=int(np.ceil((float(assembly_nm) + MARGIN_NM) / PIXEL_NM / 16) * 16),
        pixel_nm=PIXEL_NM,
        dwell_us=float(dwell_us),
        every=int(every[0]) if every else 1,
    )
    data = case.record(int(seed))
    settings = ProcessSettings(controls=False)
    a = process_series(as_read(data.a, PIXEL_NM, "A"), settings)
    b = process_series(as_read(data.b, PIXEL_NM, "B"), settings)
    fused = combine_series(a, b, settings)
    tables = {
        "A": a.detection.table,
        "B": fused.table_b,
        "fused": fused.detection.table,
    }
    found = {
        name: matched(data.truth.centres_nm, table.centres_nm) for name, table in tables.items()
    }
    in_all = ~np.isnan(sum(errors for _, errors in found.values())).any(axis=1)
    rows = {name: errors[in_all] for name, (_, errors) in found.items()}
    apart_nm = (found["A"][0] - found["B"][0])[in_all]
    rows["A - B"] = apart_nm - apart_nm.mean(axis=0)
    print(f"{in_all.sum()} particles in A, B and fused; rms in x / y / z, nm")
    for name, row in rows.items():
        axes = np.sqrt((row**2).mean(axis=0))
        print(f"{name}: " + " / ".join(f"{axis:.3f}" for axis in axes))


if __name__ == "__main__":
    main()
