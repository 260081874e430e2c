"""`python -m tests.geometry_check`: are right angles and axes left alone, and wrong ones found?

Prints every result that is not silent about a right series or not right about a wrong one, then a
table. The exit code is 1 if anything was said about a right series.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import numpy as np

from processing.align.axis import SEARCH_DEG
from processing.align.geometry import check_geometry
from processing.errors import ProcessingError
from processing.series import Float64, TiltSeries
from tests.geometry_check.inputs import WRONG, recorded_dose_symmetric, right_series

OUTCOMES = ("corrected", "wrongly corrected", "refused", "doubted", "not noticed")


def main() -> int:
    """Check every series, as it is and wrong in every way; print what was found."""
    false_alarms, counted, seconds = 0, Counter[tuple[str, str]](), []
    for name, series in right_series():
        start = time.process_time()
        checked = check_geometry(series)
        seconds.append(time.process_time() - start)
        if checked is not series:
            false_alarms += 1
            print(f"FALSE ALARM {name}: {checked.notes} {checked.doubts}")
        for way, change in WRONG.items():
            right = recorded_dose_symmetric(series) if way == "sorted angles" else series
            found = outcome(right, change(right))
            counted[way, found] += 1
            if found != "corrected":
                print(f"{way}, {name}: {found}")
    print(f"right series: {len(seconds)}, false alarms: {false_alarms}")
    print(f"CPU time: mean {np.mean(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(f"{'':38}" + "".join(f"{one:>19}" for one in OUTCOMES))
    for way in WRONG:
        print(f"{way:38}" + "".join(f"{counted[way, one]:>19}" for one in OUTCOMES))
    return int(false_alarms > 0)


def outcome(right: TiltSeries, wrong: TiltSeries) -> str:
    """Check a wrong series, and say what became of it."""
    try:
        checked = check_geometry(wrong)
    except ProcessingError:
        return "refused"
    turned_back = (checked.images is wrong.images) == (wrong.images is right.images)
    on_axis = abs(checked.tilt_axis_deg) < SEARCH_DEG
    if turned_back and on_axis and _are_same_angles(checked.angles_deg, right.angles_deg):
        return "corrected"
    if checked.notes:
        return "wrongly corrected"
    return "doubted" if checked.doubts else "not noticed"


def _are_same_angles(found_deg: Float64, true_deg: Float64) -> bool:
    """Compare angles apart from their sense and zero, which one series cannot show."""
    straight = abs(np.corrcoef(found_deg, true_deg)[0, 1]) > 0.9999
    return bool(straight and abs(np.ptp(found_deg) - np.ptp(true_deg)) < 1.0)


if __name__ == "__main__":
    sys.exit(main())
