"""`python -m tests.accuracy.odd_crystals [--size NM] [--step DEG]`: other exit sides of crystals.

Each is recorded in one series, and counted with and without the sites that the lattice proposes.
Three minutes of one core at 110 nm, ten at 165 nm.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from processing import ProcessSettings, SeriesResult, process_series
from processing.pipeline.proposals import as_fitted
from processing.series import Float64
from simulator.settings import Packing
from tests.calibration.cases import RANGE_DEG, Specimen
from tests.calibration.measure import real_particles, silence_warnings
from tests.support.odd_crystals import ODD_CRYSTALS, simulated_as_faulted
from tests.support.recorded import as_read

PIXEL_NM, SEED = 1.2, 77
SITES = "processing.pipeline.proposals.on_sites"
SURE = 0.9


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.accuracy.odd_crystals", description=__doc__
    )
    parser.add_argument("--size", type=float, default=110.0, metavar="NM", help="diameter")
    parser.add_argument("--step", type=float, default=6.0, metavar="DEG", help="tilt step")
    chosen = parser.parse_args(arguments)
    silence_warnings()
    print("| crystal | particles | without sites | with sites |\n|---|---|---|---|")
    for name in ODD_CRYSTALS:
        angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + chosen.step / 2, chosen.step)
        with simulated_as_faulted(name):
            specimen = Specimen(Packing.FAULTED, chosen.size, PIXEL_NM, SEED)
            data = specimen.record(angles_deg, angles_deg)
        one = as_read(data.a, PIXEL_NM, "A")
        settings = ProcessSettings(second_size=False)
        with patch(SITES, lambda fit, diameter_nm: as_fitted(fit)):
            without = process_series(one, settings)
        with_sites = process_series(one, settings)
        truth_nm, diameter_nm = data.truth.centres_nm, float(data.truth.diameters_nm.mean())
        cells = [described(each, truth_nm, diameter_nm) for each in (without, with_sites)]
        print(f"| {name} | {len(truth_nm)} | {' | '.join(cells)} |", flush=True)


def described(result: SeriesResult, truth_nm: Float64, diameter_nm: float) -> str:
    """Return count, interval, F1, verdict, and how many wrong particles are called certain."""
    table, count = result.detection.table, result.detection.count
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
