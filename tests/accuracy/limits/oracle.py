"""Counts that are given a part of the truth: what is left to win."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from processing import ProcessSettings, combine_series
from processing.align.alignment import unaligned
from processing.combine.pose import Pose
from processing.combine.register import RegistrationResult
from processing.count.particles import Clusters
from processing.fit.spheres import ROUNDS
from processing.pipeline import dual
from processing.pipeline.candidates import Candidates
from processing.pipeline.detect import Detection, detect_by_fit
from processing.pipeline.dual import FusedResult
from processing.pipeline.prepared import prepare_field
from processing.pipeline.proposals import MOST_ROUNDS
from processing.pipeline.sampling import in_sampled_pixels
from processing.pipeline.series_search import SeriesResult, find_particles
from processing.results import Sampling
from processing.series import Float64, TiltSeries
from simulator.rigid import fit_rigid
from simulator.series import DualSeries, Series
from tests.calibration.measure import SEARCH, TOLERANCE, Array
from tests.support.recorded import as_read


def at_true_poses(
    raw: Series, pixel_nm: float, name: str, sampling: Sampling, settings: ProcessSettings
) -> SeriesResult:
    """Find the particles of a series at its true shifts and tilt angles."""
    prepared = prepare_field(as_read(raw, pixel_nm, name), settings)
    clear = prepared.at(sampling).clear()
    start = unaligned(clear)
    across, along = raw.shifts_nm.T / pixel_nm
    shifts_px = np.stack([along, across], axis=1)
    true = replace(start, shifts_px=shifts_px, angles_deg=raw.true_deg, tilt_axis_deg=0.0)
    return find_particles(clear, in_sampled_pixels(true, sampling), settings)


def combined_at_truth(
    a: SeriesResult, b: SeriesResult, data: DualSeries, settings: ProcessSettings
) -> FusedResult:
    """Fuse two series at the true pose of B."""
    found = RegistrationResult(true_pose(data), 1.0, 0.0, 0.0, 0.0, 0.0)
    with patch.object(dual, "register_series", lambda one, other, *_, **__: (other, found, ())):
        return combine_series(a, b, settings)


def true_pose(data: DualSeries) -> Pose:
    """Return the true motion of B onto A."""
    return Pose(data.matrix, np.zeros(3), data.scale)


def found_pose(fused: FusedResult) -> Pose:
    """Return the motion of B onto A that the product found."""
    found = fused.registration
    return Pose(np.array(found.matrix), np.array(found.shift_nm), found.scale)


def from_true_candidates(
    series: Sequence[tuple[TiltSeries, Pose | None]],
    truth_nm: Array,
    found: Detection,
    *,
    in_true_frame: bool = False,
) -> Detection | None:
    """Fit spheres that start at the true places; None if the frame of the count is unknown."""
    diameter_nm = float(found.table.diameter_nm.mean()) if len(found.table) else 6.3
    places_nm: Float64 | None = truth_nm
    if not in_true_frame:
        places_nm = _in_frame_of(found, truth_nm, diameter_nm)
    if places_nm is None:
        return None
    pixel_nm = series[0][0].pixel_nm
    clusters = Clusters(places_nm / pixel_nm, np.ones(len(places_nm)))
    candidates = Candidates(found.centres, clusters, pixel_nm, None)
    return detect_by_fit(
        candidates,
        series,
        diameter_nm,
        rounds=MOST_ROUNDS if len(series) == 1 else ROUNDS,
        own_diameters=False,
        propose=False,
    )


def _in_frame_of(found: Detection, truth_nm: Array, diameter_nm: float) -> Float64 | None:
    """Return the true places in the frame of a count; None if they do not fit."""
    if len(found.table) < 4:
        return None
    rigid = fit_rigid(
        truth_nm, found.table.centres_nm, SEARCH * diameter_nm, TOLERANCE * diameter_nm
    )
    return None if rigid is None else (truth_nm - rigid.shift_nm) @ rigid.matrix
