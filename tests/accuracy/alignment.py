"""`python -m tests.accuracy.alignment`: what tilt alignment leaves, at the paper's scale.

Pixels rms along and across the tilt axis; a shift of the whole object, which shows at each tilt as
its angle says, is free, and so is the axis's angle.
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
    """Along and across the axis; images that were left out do not count."""
    used = ~found.rejected
    across, along = (truth.shifts_nm[used] / case.pixel_nm).T
    t = np.deg2rad(truth.true_deg[used])
    y, x = found.shifts_px[used].T
    turned = np.ones_like(t), np.cos(t), np.sin(t)
    free_along = np.stack(turned, axis=1)
    free_across = np.stack(turned[1:], axis=1)
    return _rms_without(y - along, free_along), _rms_without(x - across, free_across)


def _rms_without(values: np.ndarray, free: np.ndarray) -> float:
    left = values - free @ np.linalg.lstsq(free, values, rcond=None)[0]
    return float(np.sqrt(np.mean(left**2)))


def main() -> int:
    """One line a series."""
    for case in PAPER_SCALE:
        data = case.record(SEED)
        for name, raw in (("A", data.a), ("B", data.b)):
            found = align_series(as_read(raw, case.pixel_nm, name))
            along, across = residual_px(found, raw, case)
            print(f"{case.name}, {name}: {along:.3f} px along, {across:.3f} px across", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
