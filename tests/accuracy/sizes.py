"""Diameters of single particles against the true ones.

`python -m tests.accuracy.sizes [--nm 64] [--step 4] [--seeds 3] [--first-seed 11] [NAME ...]`
simulates series A and B of specimens of one size, of a spread of sizes, with facets, of two sizes
and of two materials, processes them from pixel size and angles alone, and prints one row of a table
for A alone and one for both series. A NAME chooses the specimens whose names contain it.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial, wraps
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import processing.pipeline.own_diameters as own
from controller.model.scan import ScanSettings
from processing.files.particles import ParticleTable
from processing.pipeline.dual import combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.results import Count, Diameter
from processing.series import TiltSeries
from simulator.rigid import fit_rigid, match_particles
from simulator.series import DualSeries, simulate_dual
from simulator.settings import (
    Packing,
    RemountSettings,
    SimulatorSettings,
    SpecimenSettings,
    StageSettings,
)
from simulator.specimen import Particles
from tests.accuracy.measure import LARGEST_SHIFT_NM, TOLERANCE_NM
from tests.odd_specimens.facets import facets
from tests.odd_specimens.scene import Scene, Size, View
from tests.support.move_rigidly import move_rigidly

SILVER = 47
FEWEST_FOR_VOTES = 300
STARTS = (0.9, 0.7, 0.5, 0.4, 0.3, 0.24, 0.24)
"""Largest distances of a pair while few particles are moved to the true ones, in diameters."""
LARGE_FIELD_NM = 100.0
"""Size of an assembly from which pixels of 1.2 nm are used in place of 1 nm."""


@dataclass(frozen=True)
class Specimen:
    """Specimen of one row."""

    name: str
    packing: Packing
    spread: float = 0.0
    faceted: bool = False
    small_share: float = 0.0
    small_ratio: float = 0.72
    silver_share: float = 0.0


SPECIMENS = (
    *(
        Specimen(f"{packing}, spread {100 * spread:g} %", packing, spread)
        for packing, spread in product((Packing.FCC, Packing.DISORDERED), (0.0, 0.03, 0.08))
    ),
    *(
        Specimen(f"{packing}, facets, spread 3 %", packing, 0.03, faceted=True)
        for packing in (Packing.FCC, Packing.DISORDERED)
    ),
    *(
        Specimen(
            f"disordered, 40 % of {ratio}, spread {100 * spread:g} %",
            Packing.DISORDERED,
            spread,
            small_share=0.4,
            small_ratio=ratio,
        )
        for ratio, spread in ((0.72, 0.0), (0.78, 0.0), (0.72, 0.03), (0.78, 0.03))
    ),
    Specimen("Laves crystal of 0.78, spread 3 %", Packing.LAVES, 0.03, small_ratio=0.78),
    *(
        Specimen(f"{packing}, 40 % of silver, spread 3 %", packing, 0.03, silver_share=0.4)
        for packing in (Packing.FCC, Packing.DISORDERED)
    ),
)
HEAD = (
    "| specimen | seed | series | particles: found of true, F1 | diameter: rms error, bias, rms "
    "standard error (nm) | spread: true, found (%) | kinds right | share of the second kind: true, "
    "interval | CPU of the sizes |"
)


def simulate(specimen: Specimen, nm: float, step_deg: float, seed: int) -> DualSeries:
    """Simulate both series of a specimen."""
    size = _size(nm)
    settings = SimulatorSettings(
        seed=seed,
        specimen=SpecimenSettings(
            packing=specimen.packing,
            assembly_diameter_nm=nm,
            size_spread=specimen.spread,
            small_share=specimen.small_share,
            small_ratio=specimen.small_ratio,
            other_share=specimen.silver_share,
            other_atomic_number=SILVER,
            other_assemblies_nm=(),
        ),
        stage=StageSettings(tilt_error_deg=0.15),
        remount=RemountSettings(seat_tilt_deg=1.5, in_plane_deg=35.0 + seed),
    )
    scan = ScanSettings(
        width_px=size.field_px, height_px=size.field_px, dwell_us=5.0, pixel_nm=size.pixel_nm
    )
    return simulate_dual(
        settings,
        scan,
        np.arange(-70.0, 75.0, step_deg),
        np.arange(-74.0, 73.0, step_deg),
        70.0,
        tracking_error_nm=3.0,
    )


def series_of(specimen: Specimen, dual: DualSeries, nm: float, seed: int) -> list[TiltSeries]:
    """Return both series as read from files; facets are added to the images."""
    size, rng, result = _size(nm), np.random.default_rng(seed), []
    for raw, to_series, name in ((dual.a, np.eye(3), "A"), (dual.b, dual.matrix.T, "B")):
        images = raw.counts.astype(np.float32)
        if specimen.faceted:
            pairs = zip(raw.true_deg, raw.shifts_nm, strict=True)
            views = tuple(View.at(angle, to_series, shift) for angle, shift in pairs)
            facets(images, Scene(size, views, dual.truth, rng))
        result.append(TiltSeries(images, raw.reported_deg, size.pixel_nm, name=name))
    return result


def row(
    specimen: Specimen,
    truth: Particles,
    table: ParticleTable,
    count: Count,
    diameter: Diameter,
) -> str:
    """Return the columns of one table after its name."""
    true_index, index = matched(truth, table.centres_nm)
    true_nm, found_nm = truth.diameters_nm[true_index], table.diameter_nm[index]
    f1 = 2 * len(index) / (len(truth) + len(table))
    error = found_nm - true_nm
    kind = np.where(_is_second(specimen, truth), 2, 1)
    inside = np.concatenate([_relative(truth.diameters_nm[kind == one]) for one in np.unique(kind)])
    mean, spread, spread_se = diameter.mean, diameter.spread, diameter.spread_se
    if mean is None or spread is None or spread_se is None:
        return f"{len(table)} of {len(truth)}, {f1:.4f} | not measured"
    kinds = share = ""
    if diameter.kinds:
        kinds = f"{(table.kind[index] == kind[true_index]).mean():.2%}"
    if diameter.kinds and (kind == 2).any():
        second = diameter.kinds[1]
        share = f"{(kind == 2).mean():.1%}, {second.share_low:.1%} to {second.share_high:.1%}"
    return (
        f"{count.n} of {len(truth)}, {f1:.4f} | {np.sqrt(np.mean(error**2)):.3f}, "
        f"{error.mean():+.3f}, {diameter.se_rms:.3f} | {100 * inside.std():.2f}, "
        f"{100 * spread / mean:.2f} ± {100 * spread_se / mean:.2f} | {kinds} | {share}"
    )


def matched(
    truth: Particles, found_nm: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the same particles in the truth and in a table."""
    true_nm = truth.centres_nm
    rigid = None
    if len(true_nm) >= FEWEST_FOR_VOTES:
        rigid = fit_rigid(true_nm, found_nm, LARGEST_SHIFT_NM, TOLERANCE_NM)
    if rigid is not None:
        moved = rigid(found_nm)
    else:
        moved = found_nm + true_nm.mean(axis=0) - found_nm.mean(axis=0)
        tree, usual_nm = cKDTree(true_nm), float(truth.diameters_nm.mean())
        for reach in STARTS:
            distance, nearest = tree.query(moved)
            near = distance < usual_nm * reach
            if near.any():
                moved = move_rigidly(moved, moved[near], true_nm[nearest[near]])
    return match_particles(true_nm, moved, TOLERANCE_NM)


def _size(nm: float) -> Size:
    return Size(nm, 1.2 if nm >= LARGE_FIELD_NM else 1.0)


def _is_second(specimen: Specimen, truth: Particles) -> NDArray[np.bool_]:
    """Return which particles [n] are of the smaller or the fainter kind."""
    if truth.scattering is not None:
        return np.asarray(truth.scattering < 1)
    border_nm = SpecimenSettings().particle_diameter_nm * (1 + specimen.small_ratio) / 2
    two_sizes = specimen.small_share > 0 or specimen.packing is Packing.LAVES
    return np.asarray(two_sizes & (truth.diameters_nm < border_nm))


def _relative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values / values.mean() - 1, np.float64)


def _timed(clock: SimpleNamespace) -> None:
    """Add the CPU time of the measurement of the sizes to `clock.sizes`."""
    measure = own.measure_sizes

    @wraps(measure)
    def timed(*fit: Any, **options: Any) -> object:
        begin = time.process_time()
        found = measure(*fit, **options)
        clock.sizes += time.process_time() - begin
        return found

    own.measure_sizes = timed  # type: ignore[assignment]


def main(arguments: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.sizes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--nm", type=float, default=64.0)
    parser.add_argument("--step", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=11)
    chosen = parser.parse_args(arguments)
    clock = SimpleNamespace(sizes=0.0)
    _timed(clock)
    print(f"{HEAD}\n{'|---' * 9}|", flush=True)
    for specimen in SPECIMENS:
        if chosen.names and not any(name in specimen.name for name in chosen.names):
            continue
        for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
            dual = simulate(specimen, chosen.nm, chosen.step, seed)
            show = partial(row, specimen, dual.truth)
            series = series_of(specimen, dual, chosen.nm, seed)
            begin, clock.sizes = time.process_time(), 0.0
            a, b = (process_series(one, ProcessSettings()) for one in series)
            both = combine_series(a, b, ProcessSettings())
            seconds = time.process_time() - begin
            rows = {
                "A": show(a.detection.table, a.detection.count, a.diameter),
                "both": show(both.detection.table, both.detection.count, both.diameter),
            }
            for name, text in rows.items():
                part = f"{clock.sizes / (seconds - clock.sizes):.0%}" if name == "both" else ""
                print(f"| {specimen.name} | {seed} | {name} | {text} | {part} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
