"""`python -m tests.accuracy.alignment`: residual errors of tilt alignment, at the paper's scale.

Prints the rms error along and across the tilt axis in pixels. A shift of the whole object and the
angle of the tilt axis are arbitrary and are removed from the error.
"""

from __future__ import annotations

import sys

import numpy as np

from processing.align.alignment import Alignment
from processing.align.series import align_series
from simulator.series import Series
from tests.accuracy.cases import CASES, Case
from tests.support.recorded import as_read

SEED = 101
PAPER_SCALE = [case for case in CASES if "," not in case.name]


def residual_px(found: Alignment, truth: Series, case: Case) -> tuple[float, float]:
    """Return the rms error along and across the axis; rejected images are not included."""
    used = ~found.rejected
    across, along = (truth.shifts_nm[used] / case.pixel_nm).T
    t = np.deg2rad(truth.true_deg[used])
    y, x = found.shifts_px[used].T
    functions = np.ones_like(t), np.cos(t), np.sin(t)
    free_along = np.stack(functions, axis=1)
    free_across = np.stack(functions[1:], axis=1)
    return _residual_rms(y - along, free_along), _residual_rms(x - across, free_across)


def _residual_rms(values: np.ndarray, free: np.ndarray) -> float:
    residuals = values - free @ np.linalg.lstsq(free, values, rcond=None)[0]
    return float(np.sqrt(np.mean(residuals**2)))


def main() -> int:
    """Print one line per series."""
    for case in PAPER_SCALE:
        data = case.record(SEED)
        for name, raw in (("A", data.a), ("B", data.b)):
            found = align_series(as_read(raw, case.pixel_nm, name))
            along, across = residual_px(found, raw, case)
            print(f"{case.name}, {name}: {along:.3f} px along, {across:.3f} px across", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
