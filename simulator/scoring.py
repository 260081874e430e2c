"""Scores of particle tables against the truth. No other code compares the two.

Particles are matched one to one within a tolerance after one rigid fit: no mirror, no scale, a
rotation of a few degrees at most. All tables are in the frame of A, so their fits must agree.
A table whose fit differs from that of the best table has jumped by a lattice vector. This is a
failure, however many of its particles coincide with true ones.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from controller.common.atomic import replace_text
from controller.model.base import Data
from simulator.rigid import MAX_ROTATION_DEG, RigidTransform, fit_rigid, match_particles
from simulator.specimen import Particles
from simulator.truth import read_particles, true_particles, write_particles
from simulator.world import load_world

Array = NDArray[np.float64]

TOLERANCE_FRACTION = 1.5 / 6.3
"""Matching tolerance, divided by the mean particle diameter: 1.5 nm for particles of 6.3 nm."""


class Score(Data):
    """Score of one particle table."""

    found: int
    matched: int
    recall: float
    precision: float
    f1: float
    rms_nm: tuple[float, float, float] | None
    """Root-mean-square error of the matched particles in x, y, z; None if nothing matched."""
    recall_by_depth: tuple[float, float, float]
    """Recall per third of the height: bottom (exit side of A), middle, top (exit side of B)."""
    fit_shift_nm: tuple[float, float, float]
    """Shift of the table's centre of mass by the fit."""
    fit_turn_deg: float
    """Rotation angle of the fit."""
    failure: str | None = None
    """Reason why nothing counts as matched; None if the fit was accepted."""


class Accuracy(Data):
    """Content of accuracy.json."""

    n_truth: int
    tolerance_nm: float
    tables: dict[str, Score]


def score_tables(truth: Particles, tables: dict[str, Array]) -> Accuracy:
    """Score tables of particle centres [n, 3], nm, by name; all are in the frame of A."""
    tolerance_nm = TOLERANCE_FRACTION * float(truth.diameters_nm.mean())
    spacing_nm = float(np.median(cKDTree(truth.centres_nm).query(truth.centres_nm, 2)[0][:, 1]))

    def fit(found: Array) -> RigidTransform | None:
        if not len(found):
            return None
        return fit_rigid(truth.centres_nm, found, 2.2 * spacing_nm, tolerance_nm)

    with ThreadPoolExecutor() as pool:
        fits = dict(zip(tables, pool.map(fit, tables.values()), strict=True))
    scores = {
        name: _score(truth, tables[name], rigid, tolerance_nm) for name, rigid in fits.items()
    }
    best = max(scores, key=lambda name: scores[name].f1, default=None)
    reference = fits[best] if best is not None else None
    if reference is not None:
        for name, rigid in fits.items():
            distance_nm = _fit_distance_nm(rigid, reference, tables[name])
            if distance_nm > spacing_nm / 2.0:
                why = f"fits {distance_nm:.1f} nm off table {best}: a lattice jump or a mirror"
                scores[name] = _failed(len(tables[name]), why, rigid, tables[name])
    return Accuracy(n_truth=len(truth), tolerance_nm=round(tolerance_nm, 4), tables=scores)


def _score(
    truth: Particles, found: Array, rigid: RigidTransform | None, tolerance_nm: float
) -> Score:
    if rigid is None:
        why = (
            f"no fit with a rotation within {MAX_ROTATION_DEG:g} degrees"
            if len(found)
            else "is empty"
        )
        return _failed(len(found), why, rigid, found)
    moved = rigid(found)
    true_index, found_index = match_particles(truth.centres_nm, moved, tolerance_nm)
    if not len(true_index):
        return _failed(len(found), "nothing matched", rigid, found)
    error = moved[found_index] - truth.centres_nm[true_index]
    rms = np.sqrt(np.mean(error**2, axis=0)).tolist()
    hit = np.zeros(len(truth), dtype=bool)
    hit[true_index] = True
    height = truth.centres_nm[:, 2]
    third = np.minimum((3 * (height - height.min()) / np.ptp(height)).astype(int), 2)
    depths = [float(hit[third == part].mean()) for part in range(3)]
    return Score(
        found=len(found),
        matched=len(true_index),
        recall=len(true_index) / len(truth),
        precision=len(true_index) / len(found),
        f1=2 * len(true_index) / (len(truth) + len(found)),
        rms_nm=(rms[0], rms[1], rms[2]),
        recall_by_depth=(depths[0], depths[1], depths[2]),
        fit_shift_nm=_shift(rigid, found),
        fit_turn_deg=rigid.rotation_deg,
    )


def _failed(found: int, why: str, rigid: RigidTransform | None, centres: Array) -> Score:
    return Score(
        found=found,
        matched=0,
        recall=0.0,
        precision=0.0,
        f1=0.0,
        rms_nm=None,
        recall_by_depth=(0.0, 0.0, 0.0),
        fit_shift_nm=_shift(rigid, centres) if rigid else (0.0, 0.0, 0.0),
        fit_turn_deg=rigid.rotation_deg if rigid else 0.0,
        failure=why,
    )


def _shift(rigid: RigidTransform, centres: Array) -> tuple[float, float, float]:
    centre = centres.mean(axis=0)
    x, y, z = (rigid(centre[None])[0] - centre).tolist()
    return x, y, z


def _fit_distance_nm(
    rigid: RigidTransform | None, reference: RigidTransform, centres: Array
) -> float:
    if rigid is None:
        return 0.0
    centre = centres.mean(axis=0)[None]
    return float(np.linalg.norm(rigid(centre) - reference(centre)))


def write_accuracy(session_dir: Path) -> Accuracy:
    """Score each processed/particles_<name>.csv of a session; write accuracy.json and truth.csv.

    The truth comes from simulator/world.json or, without that file, from an existing truth.csv.
    Raises ValueError or OSError with a one-line message if there is nothing to score.
    """
    truth = _truth(session_dir)
    tables = {
        path.stem.removeprefix("particles_"): read_particles(path).centres_nm
        for path in sorted((session_dir / "processed").glob("particles_*.csv"))
    }
    if not tables:
        raise ValueError(
            f"{session_dir / 'processed'}: no particles_<name>.csv to score: process it first"
        )
    accuracy = score_tables(truth, tables)
    replace_text(session_dir / "accuracy.json", accuracy.model_dump_json(indent=2) + "\n")
    return accuracy


def _truth(session_dir: Path) -> Particles:
    world, table = session_dir / "simulator" / "world.json", session_dir / "truth.csv"
    if world.exists():
        write_particles(true_particles(load_world(world)), table)
    if not table.exists():
        raise ValueError(
            f"{session_dir}: no truth to score against: neither simulator/world.json nor truth.csv"
        )
    return read_particles(table)
