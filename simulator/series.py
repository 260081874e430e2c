"""Both tilt series in one call, without a controller: what a good session would have recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from controller.microscope.interface import Hands, ScanSettings
from simulator import detector, imaging
from simulator.grid import Grid, Mount, as_loaded, in_holder, make_grid, remount, size_after
from simulator.settings import SimulatorSettings
from simulator.specimen import Particles
from simulator.stage import Pose

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """One raw tilt series."""

    counts: NDArray[np.uint16]
    """[tilt, y, x]"""
    reported_deg: Array
    """[tilt], as a stage would say."""
    true_deg: Array
    """[tilt], as it was."""
    shifts_nm: Array
    """[tilt, 2], where the assembly's centre was in the image, u and v."""


@dataclass(frozen=True, eq=False)
class DualSeries:
    """Both series and what is true of them."""

    a: Series
    b: Series
    truth: Particles
    """The first assembly's particles in A's frame at the time of A."""
    matrix: Array
    """p_A = matrix . p_B + shift, about the assembly's centre in both: the shift is zero."""
    scale: float
    """Size in A over size in B."""


def simulate_dual(
    settings: SimulatorSettings,
    scan: ScanSettings,
    angles_a_deg: Sequence[float] | Array,
    angles_b_deg: Sequence[float] | Array,
    current_pA: float,
    *,
    shower_dose_e_per_A2: float = 1.0e4,
    hands: Hands = Hands.FLIPPED,
    tracking_error_nm: float = 2.0,
    progress: Callable[[int, int], None] = lambda done, planned: None,
) -> DualSeries:
    """Record series A, flip the grid, record series B; tracking holds the assembly in view.

    Parameters
    ----------
    shower_dose_e_per_A2
        Dose before the first tilt; 0 leaves the specimen to shrink during the series.
    hands
        What is done at the flip, mistakes included.
    tracking_error_nm
        Standard deviation of what tracking leaves of each tilt's shift, per axis.
    progress
        Told of every tilt: how many are done, of how many.
    """
    rng = np.random.default_rng([settings.seed, 0x5E71E5])
    grid = make_grid(settings.specimen, settings.seed)
    mounts = as_loaded(settings), remount(settings, grid.places_nm, hands, rng)
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
        tell=lambda: progress(next(done), len(frames)),
    )
    a = recorder.series(mounts[0], np.array(angles_a_deg, np.float64), doses_a, assembly=0)
    looked_at = 1 if hands is Hands.OTHER_ASSEMBLY and len(grid.assemblies) > 1 else 0
    b = recorder.series(mounts[1], np.array(angles_b_deg, np.float64), doses_b, assembly=looked_at)
    size_a = size_after(float(np.mean(doses_a)), settings.specimen)
    size_b = size_after(float(np.mean(doses_b)), settings.specimen)
    first = grid.assemblies[0]
    return DualSeries(
        a=a,
        b=b,
        truth=Particles(first.centres_nm * size_a, first.diameters_nm),
        matrix=np.array(mounts[0].matrix) @ np.array(mounts[1].matrix).T,
        scale=size_a / size_b,
    )


@dataclass(frozen=True, eq=False)
class _Recorder:
    settings: SimulatorSettings
    scan: ScanSettings
    grid: Grid
    current_pA: float
    tracking_error_nm: float
    rng: np.random.Generator
    tell: Callable[[], None]
    """Called after every tilt."""

    def series(self, mount: Mount, angles_deg: Array, doses: Array, assembly: int) -> Series:
        errors = self.rng.normal(0.0, self.settings.stage.tilt_error_deg, len(angles_deg))
        shifts = self.rng.normal(0.0, self.tracking_error_nm, (len(angles_deg), 2))
        centre = mount.place(self.grid.places_nm[[assembly]])[0]
        frames = [
            self._frame(mount, alpha, shift, centre, dose)
            for alpha, shift, dose in zip(angles_deg + errors, shifts, doses, strict=True)
        ]
        return Series(np.stack(frames), angles_deg, angles_deg + errors, shifts)

    def _frame(
        self, mount: Mount, alpha_deg: float, shift: Array, centre: Array, dose: float
    ) -> NDArray[np.uint16]:
        settings = self.settings
        size = size_after(dose, settings.specimen)
        sizes = np.full(len(self.grid.assemblies), size)
        scene = imaging.Scene(
            in_holder(self.grid, sizes, mount),
            imaging.carbon_nm(dose, settings.specimen),
            mount.scan_mirrored,
        )
        t = np.deg2rad(alpha_deg)
        held = Pose(
            alpha_deg=alpha_deg,
            seen_nm=(
                shift[0] - centre[0] * np.cos(t) - centre[2] * np.sin(t),
                shift[1] - centre[1],
            ),
        )
        share = imaging.expose(scene, held, held, self.scan, settings, self.rng)
        beam = detector.electrons_per_pixel(self.current_pA, self.scan.dwell_us)
        self.tell()
        return detector.record(share, beam, settings.detector, self.rng)
