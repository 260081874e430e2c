"""Series to which the rule of wrong places is fitted, and on which it is tested.

Most have coarse tilt steps, since fine ones have few particles in doubt.
"""

from __future__ import annotations

from simulator.settings import Packing
from tests.calibration.cases import Case
from tests.calibration.places import BOTH

FCC, FAULTED, DISORDERED = Packing.FCC, Packing.FAULTED, Packing.DISORDERED
MULTI_GRAIN = Packing.MULTI_GRAIN
CORPUS = tuple(
    (Case(size_nm, packing, step_deg, seed), series)
    for size_nm, packing, step_deg, seed, series in (
        (75.0, FCC, 4.0, 201, ("A", "B")),
        (75.0, DISORDERED, 6.0, 201, ("A", "B")),
        (75.0, FCC, 10.0, 411, ("A", "B", BOTH)),
        (75.0, DISORDERED, 12.0, 412, ("A", "B", BOTH)),
        (75.0, FCC, 14.0, 413, ("A", "B", BOTH)),
        (75.0, FAULTED, 8.0, 501, ("A", "B")),
        (75.0, FAULTED, 10.0, 502, ("A", "B")),
        (110.0, FCC, 4.0, 201, ("A",)),
        (110.0, FCC, 6.0, 302, ("A", "B")),
        (110.0, DISORDERED, 6.0, 302, ("A", "B")),
        (110.0, DISORDERED, 8.0, 403, ("A",)),
        (110.0, FCC, 8.0, 301, ("A", "B")),
        (110.0, FAULTED, 4.0, 503, ("A", "B")),
        (110.0, FAULTED, 6.0, 504, ("A", "B")),
        (110.0, FAULTED, 8.0, 505, ("A", "B")),
        (165.0, FCC, 2.0, 201, ("A",)),
        (165.0, FCC, 4.0, 201, ("A", "B")),
        (165.0, FCC, 6.0, 201, ("A", "B")),
        (165.0, FCC, 2.0, 301, ("A", "B")),
        (165.0, FCC, 6.0, 301, ("A", "B")),
        (165.0, FCC, 6.0, 302, ("A", "B")),
        (165.0, DISORDERED, 2.0, 301, ("A", "B")),
        (165.0, DISORDERED, 4.0, 301, ("A",)),
        (165.0, DISORDERED, 6.0, 301, ("A", "B", BOTH)),
        (165.0, DISORDERED, 6.0, 302, ("A", "B")),
        (165.0, MULTI_GRAIN, 6.0, 301, ("A",)),
        (165.0, MULTI_GRAIN, 4.0, 302, ("B",)),
        (165.0, FAULTED, 6.0, 511, ("A",)),
        (165.0, FAULTED, 4.0, 512, ("A",)),
        (165.0, FAULTED, 6.0, 513, ("B",)),
        (165.0, FAULTED, 4.0, 514, ("B",)),
        (165.0, FAULTED, 6.0, 515, ("A",)),
        (165.0, FAULTED, 3.0, 516, ("A",)),
        (165.0, FAULTED, 6.0, 517, ("B",)),
        (165.0, FAULTED, 2.0, 518, ("A",)),
        (165.0, FCC, 6.0, 303, ("A",)),
        (165.0, FCC, 4.0, 304, ("B",)),
        (165.0, FCC, 6.0, 305, ("B",)),
        (165.0, FCC, 3.0, 306, ("A",)),
        (165.0, DISORDERED, 6.0, 303, ("A",)),
        (165.0, DISORDERED, 4.0, 304, ("B",)),
        (165.0, MULTI_GRAIN, 6.0, 303, ("A",)),
        (165.0, DISORDERED, 6.0, 321, ("B",)),
        (165.0, MULTI_GRAIN, 6.0, 321, ("B",)),
        (140.0, DISORDERED, 6.0, 322, ("A",)),
        (140.0, MULTI_GRAIN, 6.0, 322, ("A",)),
        (165.0, DISORDERED, 5.0, 323, ("A",)),
        (165.0, MULTI_GRAIN, 4.0, 323, ("A",)),
        (150.0, FAULTED, 6.0, 521, ("A",)),
        (165.0, MULTI_GRAIN, 5.0, 324, ("B",)),
        (165.0, DISORDERED, 4.0, 324, ("A",)),
        (165.0, FAULTED, 5.0, 522, ("B",)),
        (150.0, DISORDERED, 6.0, 325, ("B",)),
        (150.0, MULTI_GRAIN, 5.0, 325, ("A",)),
        (165.0, DISORDERED, 6.0, 326, ("A",)),
        (165.0, MULTI_GRAIN, 3.0, 326, ("B",)),
        (165.0, MULTI_GRAIN, 6.0, 341, ("A",)),
        (165.0, DISORDERED, 6.0, 341, ("B",)),
        (165.0, MULTI_GRAIN, 6.0, 342, ("B",)),
        (165.0, MULTI_GRAIN, 4.0, 343, ("A",)),
        (165.0, DISORDERED, 5.0, 342, ("A",)),
        (150.0, MULTI_GRAIN, 5.0, 344, ("B",)),
        (140.0, MULTI_GRAIN, 6.0, 345, ("A",)),
        (165.0, DISORDERED, 4.0, 343, ("B",)),
        (165.0, MULTI_GRAIN, 5.0, 346, ("A",)),
        (150.0, DISORDERED, 6.0, 344, ("A",)),
        (165.0, MULTI_GRAIN, 3.0, 347, ("B",)),
        (150.0, MULTI_GRAIN, 6.0, 348, ("B",)),
        (140.0, DISORDERED, 6.0, 345, ("B",)),
        (165.0, FAULTED, 5.0, 346, ("B",)),
        (165.0, MULTI_GRAIN, 6.0, 361, ("A",)),
        (165.0, MULTI_GRAIN, 5.0, 362, ("B",)),
        (150.0, MULTI_GRAIN, 4.0, 363, ("A",)),
        (140.0, MULTI_GRAIN, 6.0, 364, ("B",)),
        (165.0, DISORDERED, 6.0, 361, ("A",)),
        (165.0, DISORDERED, 5.0, 362, ("B",)),
        (150.0, DISORDERED, 6.0, 363, ("A",)),
        (140.0, DISORDERED, 6.0, 364, ("B",)),
        (165.0, DISORDERED, 4.0, 365, ("A",)),
        (165.0, FAULTED, 6.0, 361, ("A",)),
        (165.0, FAULTED, 5.0, 362, ("B",)),
        (150.0, FAULTED, 6.0, 363, ("B",)),
        (165.0, FCC, 6.0, 361, ("B",)),
        (165.0, FCC, 5.0, 362, ("A",)),
    )
)
"""Cases, and which of their series."""


def case_of(name: str) -> tuple[Case, str]:
    """Return the case and the series, A, B or both, of a name.

    Raises
    ------
    ValueError
        No series of the corpus has this name.
    """
    for case, wanted in CORPUS:
        for series in wanted:
            if case.series_name(series) == name:
                return case, series
    raise ValueError(f"no series of the corpus is called {name!r}; see tests/calibration/corpus.py")
