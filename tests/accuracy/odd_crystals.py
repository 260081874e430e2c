"""`python -m tests.accuracy.odd_crystals [--both]`: crystals that have other parts.

Each is recorded, and counted with and without the sites that the lattice proposes: in one series,
where the part is on the exit side, or in both, where it is in the middle. One series takes three
minutes of one core at 110 nm, ten at 165 nm; `--size NM` and `--step DEG` choose.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np

from processing import ProcessSettings, combine_series, process_series
from processing.pipeline.detect import Detection
from processing.pipeline.proposals import as_fitted
from processing.series import Float64
from simulator.series import DualSeries
from simulator.settings import Packing
from tests.calibration.cases import RANGE_DEG, Specimen
from tests.calibration.measure import real_particles, silence_warnings
from tests.support.odd_crystals import ODD_CRYSTALS, ODD_MIDDLES, simulated_as_faulted
from tests.support.recorded import as_read

PIXEL_NM, SEED = 1.2, 77
SITES = "processing.pipeline.proposals.on_sites"
SURE = 0.9
SETTINGS = ProcessSettings(second_size=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.accuracy.odd_crystals", description=__doc__
    )
    parser.add_argument("--size", type=float, default=110.0, metavar="NM", help="diameter")
    parser.add_argument("--step", type=float, default=6.0, metavar="DEG", help="tilt step")
    parser.add_argument("--both", action="store_true", help="both series together")
    chosen = parser.parse_args(arguments)
    silence_warnings()
    print("| crystal | particles | without sites | with sites |\n|---|---|---|---|")
    for name in ODD_MIDDLES if chosen.both else ODD_CRYSTALS:
        angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + chosen.step / 2, chosen.step)
        with simulated_as_faulted(name):
            specimen = Specimen(Packing.FAULTED, chosen.size, PIXEL_NM, SEED)
            data = specimen.record(angles_deg, angles_deg)
        count = _counted_together(data) if chosen.both else _counted_alone(data)
        with patch(SITES, lambda fit, diameter_nm: as_fitted(fit)):
            without = count()
        truth_nm, diameter_nm = data.truth.centres_nm, float(data.truth.diameters_nm.mean())
        cells = [described(each, truth_nm, diameter_nm) for each in (without, count())]
        print(f"| {name} | {len(truth_nm)} | {' | '.join(cells)} |", flush=True)


def _counted_alone(data: DualSeries) -> Callable[[], Detection]:
    one = as_read(data.a, PIXEL_NM, "A")
    return lambda: process_series(one, SETTINGS).detection


def _counted_together(data: DualSeries) -> Callable[[], Detection]:
    a = process_series(as_read(data.a, PIXEL_NM, "A"), SETTINGS)
    b = process_series(as_read(data.b, PIXEL_NM, "B"), SETTINGS)
    return lambda: combine_series(a, b, SETTINGS).detection


def described(detection: Detection, truth_nm: Float64, diameter_nm: float) -> str:
    """Return count, interval, F1, verdict, and how many wrong particles are called certain."""
    table, count = detection.table, detection.count
    real = real_particles(truth_nm, table.centres_nm, diameter_nm)
    f1 = 2 * real.sum() / (len(table) + len(truth_nm))
    sure = int((table.confidence[~real] > SURE).sum())
    assert count.verdict is not None
    return (
        f"{count.n} ({count.n_low} to {count.n_high}), {f1:.4f}, {count.verdict.state.value}, "
        f"{sure} wrong ones above {SURE}"
    )


if __name__ == "__main__":
    main()
