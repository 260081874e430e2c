"""`python -m tests.accuracy.deformation [--kind NAME ...] [--size NM] [--packing P ...]`.

Simulates pairs of tilt series of assemblies that deform under the beam, mostly during series A,
processes them, and prints a row of a table for A alone and for both: F1, rms error of the matched
particles in x, y and z, count, verdict, what was said about the deformation, and CPU seconds. The
exit code is 1 if a trusted count is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from controller.model.scan import ScanSettings
from processing.pipeline.deformed import deformation_lines
from processing.pipeline.dual import combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.results import Trust
from simulator.scoring import score_tables
from simulator.series import DualSeries, simulate_dual
from simulator.settings import Packing, SimulatorSettings
from tests.calibration.cases import (
    COARSE_NM,
    CURRENT_PA,
    DWELL_US,
    FINE_NM,
    FINE_UP_TO_NM,
    MARGIN_NM,
    RANGE_DEG,
)
from tests.calibration.measure import silence_warnings
from tests.support.recorded import as_read

KINDS: dict[str, dict[str, Any]] = {
    "none": {"shrinkage": 0.0},
    "even": {"shrinkage": 0.03},
    "along the beam": {"shrinkage": 0.0, "collapse": 0.03},
    "one side": {"shrinkage": 0.015, "uneven_shrinkage": (0.03, 0.0, 0.0)},
    "top": {"shrinkage": 0.015, "uneven_shrinkage": (0.0, 0.0, 0.03)},
    "lean": {"shrinkage": 0.0, "lean": (0.02, 0.0)},
    "lean along the axis": {"shrinkage": 0.0, "lean": (0.0, 0.02)},
}
"""Keys of the specimen, by the name of the deformation."""
DOSE_CONSTANT = 0.5
"""Dose at which 63 % has happened, in doses of one series: 86 % happens during A."""


def record(kind: str, packing: Packing, size_nm: float, step_deg: float, seed: int) -> DualSeries:
    """Simulate both series of an assembly that deforms from the first image on."""
    pixel_nm = pixel_of(size_nm)
    side_px = 2 * round((size_nm + MARGIN_NM) / pixel_nm / 2)
    scan = ScanSettings(width_px=side_px, height_px=side_px, pixel_nm=pixel_nm, dwell_us=DWELL_US)
    angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + step_deg / 2, step_deg)
    series_dose = scan.dose_e_per_A2(CURRENT_PA) * len(angles_deg)
    specimen = {
        "packing": packing,
        "assembly_diameter_nm": size_nm,
        "other_assemblies_nm": [(400.0, 0.0)],
        "shrinkage_dose_e_per_A2": DOSE_CONSTANT * series_dose,
        **KINDS[kind],
    }
    sections = {"seed": seed, "specimen": specimen, "stage": {"tilt_error_deg": 0.15}}
    settings = SimulatorSettings.model_validate(sections)
    return simulate_dual(
        settings,
        scan,
        angles_deg,
        angles_deg,
        CURRENT_PA,
        tracking_error_nm=3.0,
        shower_dose_e_per_A2=0.0,
    )


def pixel_of(size_nm: float) -> float:
    """Return the pixel size for an assembly."""
    return FINE_NM if size_nm <= FINE_UP_TO_NM else COARSE_NM


def measured(
    kind: str, packing: Packing, size_nm: float, step_deg: float, seed: int
) -> Iterator[tuple[str, bool]]:
    """Return a row for A alone and one for both, each with whether it is trusted and wrong."""
    data, pixel_nm, settings = (
        record(kind, packing, size_nm, step_deg, seed),
        pixel_of(size_nm),
        ProcessSettings(),
    )
    started = time.process_time()
    a = process_series(as_read(data.a, pixel_nm, "A"), settings)
    a_s = time.process_time() - started
    b = process_series(as_read(data.b, pixel_nm, "B"), settings)
    both = combine_series(a, b, settings)
    both_s = time.process_time() - started
    detections = {"A": (a.detection, a_s), "both": (both.detection, both_s)}
    scores = score_tables(
        data.truth, {name: each.table.centres_nm for name, (each, _) in detections.items()}
    ).tables
    name = f"{kind}, {packing.value}, {size_nm:g} nm, {step_deg:g} degrees, seed {seed}"
    for series, (detection, seconds) in detections.items():
        score, count = scores[series], detection.count
        verdict = count.verdict
        assert verdict is not None
        rms = "/".join(f"{value:.2f}" for value in score.rms_nm or ())
        cells = [
            name,
            series,
            f"{score.f1:.4f}",
            rms,
            f"{count.n} ({count.n_low} to {count.n_high}) of {len(data.truth)}",
            f"{verdict.state.value} {'; '.join(verdict.reasons)}",
            "; ".join(deformation_lines(detection.deformed)),
            f"{seconds:.0f}",
        ]
        wrong = not count.n_low <= len(data.truth) <= count.n_high or score.f1 < 0.999
        yield f"| {' | '.join(cells)} |", verdict.state is Trust.TRUSTED and wrong


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.deformation")
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--packing", type=Packing, nargs="+", default=[Packing.DISORDERED])
    parser.add_argument("--size", type=float, default=60.0, metavar="NM")
    parser.add_argument("--step", type=float, default=4.0, metavar="DEG")
    parser.add_argument("--seed", type=int, default=801, metavar="N")
    chosen = parser.parse_args(arguments)
    silence_warnings()
    wrong = False
    for packing in chosen.packing:
        for kind in chosen.kind:
            for row, trusted_and_wrong in measured(
                kind, packing, chosen.size, chosen.step, chosen.seed
            ):
                print(row, flush=True)
                wrong |= trusted_and_wrong
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
