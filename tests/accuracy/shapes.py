"""`python -m tests.accuracy.shapes [CASE ...]`: places and orientations of rods and polyhedra.

Each specimen is simulated with its true shape, processed from pixel size, angles and shape, and
compared with its truth. A particle is found if its centre is within a third of its width. With
`--particles`, the size of the assembly follows from the number. With `--given`, processing is told
another shape than the true one. Results are stored one a line in shapes.jsonl in the working
folder; figures are in docs/shapes.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from controller.model.scan import ScanSettings
from processing.combine.pose import Pose, fit_pose
from processing.errors import ProcessingError
from processing.files.particles import ParticleTable
from processing.pipeline.detect import Detection
from processing.pipeline.dual import combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.results import Count
from simulator.rigid import match_particles
from simulator.series import DualSeries, simulate_dual
from simulator.settings import (
    Arrangement,
    RemountSettings,
    Shape,
    SimulatorSettings,
    SpecimenSettings,
    StageSettings,
)
from simulator.specimen import Particles, make_assembly
from tests.support.recorded import as_read

RESULTS = Path("shapes.jsonl")
TILT_ERROR_DEG = 0.2
SEAT_TILT_DEG = 2.0
CURRENT_PA = 70.0
TRACKING_ERROR_NM = 5.0
FOUND_WITHIN = 1 / 3
"""Largest distance of a found centre from the true one, in widths."""
MARGIN_NM = 24.0
"""Field beside the assembly."""
TRIAL_NM = 80.0
"""Size of the assembly from whose number that of other sizes is estimated first."""
SURE = 0.9
"""Confidence from which a particle counts as sure."""


@dataclass(frozen=True)
class Case:
    """Particles and their arrangement; the size of the assembly is an option."""

    shape: Shape
    arrangement: Arrangement
    width_nm: float
    length_nm: float = 20.0

    @property
    def name(self) -> str:
        """Name of the case, as an argument."""
        long = f"x{self.length_nm:g}" if self.shape is Shape.ROD else ""
        return f"{self.shape}-{self.width_nm:g}{long}-{self.arrangement}"

    @property
    def given(self) -> str:
        """Shape as it is given to processing."""
        long = f"x{self.length_nm:g}" if self.shape is Shape.ROD else ""
        return f"{self.shape}:{self.width_nm:g}{long}"

    def specimen(self, size_nm: float) -> SpecimenSettings:
        """Return the specimen with an assembly of this diameter."""
        return SpecimenSettings(
            shape=self.shape,
            arrangement=self.arrangement,
            particle_diameter_nm=self.width_nm,
            rod_length_nm=self.length_nm,
            assembly_diameter_nm=size_nm,
            other_assemblies_nm=(),
        )

    def size_for(self, particles: int, seed: int) -> float:
        """Return the diameter of an assembly with about this number of particles, nm."""
        size_nm = TRIAL_NM
        for _ in range(2):
            number = len(make_assembly(self.specimen(size_nm), seed))
            size_nm *= (particles / max(number, 1)) ** (1 / 3)
        return round(size_nm, 1)

    def record(self, options: argparse.Namespace, seed: int) -> DualSeries:
        """Simulate both raw series; the result includes their truth."""
        settings = SimulatorSettings(
            seed=seed,
            specimen=self.specimen(options.size),
            stage=StageSettings(tilt_error_deg=TILT_ERROR_DEG),
            remount=RemountSettings(seat_tilt_deg=SEAT_TILT_DEG),
        )
        pixels = 8 * int(np.ceil((options.size + MARGIN_NM) / options.pixel_nm / 8))
        scan = ScanSettings(
            width_px=pixels, height_px=pixels, dwell_us=5.0, pixel_nm=options.pixel_nm
        )
        step = 2 * options.every
        return simulate_dual(
            settings,
            scan,
            np.arange(-70, 75, step),
            np.arange(-74, 73, step),
            CURRENT_PA,
            tracking_error_nm=TRACKING_ERROR_NM,
        )


CASES = tuple(
    Case(shape, arrangement, width, length)
    for shape, width, length in (
        (Shape.ROD, 6.0, 20.0),
        (Shape.ROD, 10.0, 40.0),
        (Shape.CUBE, 8.0, 20.0),
        (Shape.OCTAHEDRON, 9.0, 20.0),
        (Shape.TETRAHEDRON, 10.0, 20.0),
        (Shape.SPHERE, 8.0, 20.0),
    )
    for arrangement in Arrangement
)


def misorientation_deg(shape: Shape, first: Rotation, other: Rotation) -> np.ndarray:
    """Return the smallest angle [n] between orientations, modulo the symmetry of the shape."""
    if shape is Shape.ROD:
        axes = [one.apply([0.0, 0.0, 1.0]) for one in (first, other)]
        cosine = np.abs((axes[0] * axes[1]).sum(axis=1))
        return np.asarray(np.rad2deg(np.arccos(cosine.clip(0, 1))))
    group = Rotation.create_group("T" if shape is Shape.TETRAHEDRON else "O")
    between = first.inv() * other
    return np.asarray(np.rad2deg(np.min([(between * one).magnitude() for one in group], axis=0)))


def fitted_pose(truth_nm: np.ndarray, found_nm: np.ndarray, within_nm: float) -> Pose:
    """Return the rigid motion of found centres that pairs the most, by iterated closest points.

    It starts from equal centres of mass and from steps of a third of the search range beside them.
    """
    middle = truth_nm.mean(axis=0) - found_nm.mean(axis=0)
    best, most = Pose(np.eye(3), middle), -1
    for step in product((-1.0, 0.0, 1.0), repeat=3):
        pose = Pose(np.eye(3), middle + 1.5 * within_nm * np.array(step))
        for reach in (3.0, 2.0, 1.5, 1.0, 1.0, 1.0):
            pairs = match_particles(truth_nm, pose.apply(found_nm), reach * within_nm)
            if len(pairs[0]) < 4:
                break
            pose = fit_pose(truth_nm[pairs[0]], found_nm[pairs[1]])
        number = len(match_particles(truth_nm, pose.apply(found_nm), within_nm)[0])
        if number > most:
            best, most = pose, number
    return best


def scored(case: Case, truth: Particles, table: ParticleTable, count: Count) -> dict[str, Any]:
    """Compare a table with the truth; its rigid motion, which alignment leaves free, is fitted.

    `sure` and `unsure` are numbers of particles, and how many of them are at no true centre.
    """
    row: dict[str, Any] = {"found": len(table), "n": [count.n, count.n_low, count.n_high]}
    if count.verdict is not None:
        row["verdict"] = [str(count.verdict.state), *count.verdict.reasons]
    within_nm = FOUND_WITHIN * case.width_nm
    pose = fitted_pose(truth.centres_nm, table.centres_nm, within_nm)
    moved = pose.apply(table.centres_nm)
    true, found = match_particles(truth.centres_nm, moved, within_nm)
    wrong = np.ones(len(table), bool)
    wrong[found] = False
    sure = table.confidence >= SURE
    row |= {
        "f1": 2 * len(true) / (len(truth) + len(table)),
        "holds": count.n_low <= len(truth) <= count.n_high,
        "sure": [int(sure.sum()), int(wrong[sure].sum())],
        "unsure": [int((~sure).sum()), int(wrong[~sure].sum())],
    }
    if truth.quaternions is None or not table.turned or not len(true):
        return row
    turned = Rotation.from_matrix(pose.matrix) * Rotation.from_quat(table.quaternion[found])
    angles = misorientation_deg(case.shape, Rotation.from_quat(truth.quaternions[true]), turned)
    errors = np.linalg.norm(moved[found] - truth.centres_nm[true], axis=1)
    return {
        **row,
        "median_deg": float(np.median(angles)),
        "most_deg": float(np.quantile(angles, 0.95)),
        "rms_nm": float(np.sqrt((errors**2).mean())),
    }


def scored_with_fit(case: Case, truth: Particles, detection: Detection) -> dict[str, Any]:
    """Return the score of a detection, and the share that its bodies leave unexplained."""
    row = scored(case, truth, detection.table, detection.count)
    if detection.fitness is not None:
        row["unexplained"] = round(detection.fitness.unexplained, 4)
    return row


def measure(case: Case, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Simulate a specimen, process A alone and both series, and score them."""
    before = time.process_time()
    data = case.record(options, seed)
    simulated = time.process_time()
    given = options.given or case.given
    settings = ProcessSettings(shape=given)
    a = process_series(as_read(data.a, options.pixel_nm, "A"), settings)
    outcome: dict[str, Any] = {
        "case": case.name,
        "given": given,
        "size_nm": options.size,
        "step_deg": 2 * options.every,
        "seed": seed,
        "truth": len(data.truth),
        "A": scored_with_fit(case, data.truth, a.detection),
    }
    print(outcome, flush=True)
    b = process_series(as_read(data.b, options.pixel_nm, "B"), settings)
    try:
        fused = combine_series(a, b, settings)
        outcome["fused"] = scored_with_fit(case, data.truth, fused.detection)
    except ProcessingError as error:
        outcome["fused"] = {"refused": str(error)}
    outcome["simulation_s"] = round(simulated - before, 1)
    outcome["cpu_s"] = round(time.process_time() - simulated, 1)
    outcome["peak_GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    return outcome


def main(arguments: list[str]) -> int:
    """Measure the requested cases; store and print each result."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.shapes", description=__doc__)
    names = {case.name: case for case in CASES}
    parser.add_argument("cases", nargs="*", metavar="CASE", choices=[*names, []])
    parser.add_argument("--size", type=float, default=60.0, help="diameter of the assembly, nm")
    parser.add_argument("--particles", type=int, help="number of particles; sets the size")
    parser.add_argument("--given", help="shape that processing is told; default: the true one")
    parser.add_argument("--pixel-nm", type=float, default=0.9)
    parser.add_argument("--every", type=int, default=1, help="use every n-th tilt of 2 degrees")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=101)
    options = parser.parse_args(arguments)
    for name in options.cases or names:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            if options.particles:
                options.size = names[name].size_for(options.particles, seed)
            outcome = measure(names[name], options, seed)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcome) + "\n")
            print(json.dumps(outcome, indent=1), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
