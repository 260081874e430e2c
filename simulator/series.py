"""Both tilt series of an ideal session in one call, without the controller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from controller.rehearsal.operator_actions import OperatorAction
from simulator import detector, imaging
from simulator.deformation import deformed, relative_size, share_reached
from simulator.grid import (
    Grid,
    Mount,
    imaged_assembly,
    make_grid,
    mount_as_loaded,
    particles_in_holder,
    remount,
)
from simulator.settings import SimulatorSettings
from simulator.specimen import Particles
from simulator.stage import HolderPose

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """One raw tilt series."""

    counts: NDArray[np.uint16]
    """Images, [tilt, y, x]."""
    reported_deg: Array
    """Tilt angles as the stage reports them, [tilt]."""
    true_deg: Array
    """True tilt angles, [tilt]."""
    shifts_nm: Array
    """Position (u, v) of the assembly's centre in each image, [tilt, 2]."""


@dataclass(frozen=True, eq=False)
class DualSeries:
    """Both tilt series and the truth."""

    a: Series
    b: Series
    truth: Particles
    """Particles of the first assembly in the frame of A, at their mean places during series A."""
    matrix: Array
    """Rotation from B to A: p_A = matrix . p_B, both relative to the assembly's centre."""
    scale: float
    """Mean size in A divided by that in B, as `shrinkage` sets them."""


def simulate_dual(
    settings: SimulatorSettings,
    scan: ScanSettings,
    angles_a_deg: Sequence[float] | Array,
    angles_b_deg: Sequence[float] | Array,
    current_pA: float,
    *,
    shower_dose_e_per_A2: float = 1.0e4,
    action: OperatorAction = OperatorAction.FLIPPED,
    tracking_error_nm: float = 2.0,
    progress: Callable[[int, int], None] = lambda done, planned: None,
) -> DualSeries:
    """Record series A, flip the grid, record series B, with the assembly tracked.

    Parameters
    ----------
    shower_dose_e_per_A2
        Dose before the first tilt. With 0 the specimen deforms during the series.
    action
        What the operator does at the flip, mistakes included.
    tracking_error_nm
        Standard deviation of the shift that remains after tracking, per axis.
    progress
        Called after every tilt with the number of tilts done and planned.
    """
    rng = np.random.default_rng([settings.seed, 0x5E71E5])
    grid = make_grid(settings.specimen, settings.seed)
    mount_a = mount_as_loaded(settings)
    mount_b = remount(settings, grid.assembly_positions_nm, action, rng)
    dose = scan.dose_e_per_A2(current_pA)
    frames = np.arange(len(angles_a_deg) + len(angles_b_deg))
    doses = np.array(shower_dose_e_per_A2 + dose * frames, np.float64)
    doses_a, doses_b = doses[: len(angles_a_deg)], doses[len(angles_a_deg) :]
    done = count(1)
    recorder = _Recorder(
        settings,
        scan,
        grid,
        current_pA,
        tracking_error_nm,
        rng,
        on_tilt_done=lambda: progress(next(done), len(frames)),
    )
    a = recorder.record(mount_a, np.array(angles_a_deg, np.float64), doses_a, assembly=0)
    assembly_b = imaged_assembly(action, len(grid.assemblies))
    b = recorder.record(mount_b, np.array(angles_b_deg, np.float64), doses_b, assembly=assembly_b)
    share_a, share_b = (
        float(np.mean([share_reached(each, settings.specimen) for each in these]))
        for these in (doses_a, doses_b)
    )
    first = grid.assemblies[0]
    return DualSeries(
        a=a,
        b=b,
        truth=replace(first, centres_nm=deformed(first.centres_nm, share_a, settings.specimen)),
        matrix=np.array(mount_a.matrix) @ np.array(mount_b.matrix).T,
        scale=relative_size(share_a, settings.specimen) / relative_size(share_b, settings.specimen),
    )


@dataclass(frozen=True, eq=False)
class _Recorder:
    """Recorder of a tilt series, with the settings that both series share."""

    settings: SimulatorSettings
    scan: ScanSettings
    grid: Grid
    current_pA: float
    tracking_error_nm: float
    rng: np.random.Generator
    on_tilt_done: Callable[[], None]

    def record(self, mount: Mount, angles_deg: Array, doses: Array, assembly: int) -> Series:
        errors = self.rng.normal(0.0, self.settings.stage.tilt_error_deg, len(angles_deg))
        shifts = self.rng.normal(0.0, self.tracking_error_nm, (len(angles_deg), 2))
        centre = mount.to_holder(self.grid.assembly_positions_nm[[assembly]])[0]
        frames = [
            self._frame(mount, alpha, shift, centre, dose)
            for alpha, shift, dose in zip(angles_deg + errors, shifts, doses, strict=True)
        ]
        return Series(np.stack(frames), angles_deg, angles_deg + errors, shifts)

    def _frame(
        self, mount: Mount, alpha_deg: float, shift: Array, centre: Array, dose: float
    ) -> NDArray[np.uint16]:
        settings = self.settings
        share = share_reached(dose, settings.specimen)
        shares = np.full(len(self.grid.assemblies), share)
        scene = imaging.Scene(
            particles_in_holder(self.grid, shares, mount),
            imaging.carbon_nm(dose, settings.specimen),
            mount.scan_mirrored,
        )
        t = np.deg2rad(alpha_deg)
        pose = HolderPose(
            alpha_deg=alpha_deg,
            image_shift_nm=(
                shift[0] - centre[0] * np.cos(t) - centre[2] * np.sin(t),
                shift[1] - centre[1],
            ),
        )
        fraction = imaging.beam_fraction_image(scene, pose, pose, self.scan, settings, self.rng)
        beam = detector.electrons_per_pixel(self.current_pA, self.scan.dwell_us)
        self.on_tilt_done()
        return detector.to_counts(fraction, beam, settings.detector, self.rng)
