"""The grid in the holder: several assemblies, how they are mounted, and what hands do at the flip.

The grid's frame is the first assembly's (see specimen): in series A it coincides with the
holder's but for a shift. The flip is F = diag(1, -1, -1), half a turn about x; remounting adds
an in-plane angle phi, a seat tilt and a shift: p_B = Rz(phi) . Rseat . F . p_A + shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from controller.microscope.interface import Data, Hands
from simulator.settings import SimulatorSettings, SpecimenSettings
from simulator.specimen import Particles, make_assembly
from simulator.stray import make_stray

Array = NDArray[np.float64]

FLIP = np.diag([1.0, -1.0, -1.0])
_FLIPPING = {Hands.FLIPPED, Hands.OTHER_ASSEMBLY}


class Mount(Data):
    """How the grid sits in the holder: p_holder = matrix . p_grid + shift_nm."""

    matrix: tuple[tuple[float, float, float], ...]
    shift_nm: tuple[float, float, float]
    scan_mirrored: bool = False
    """Not of the grid, but changed by the same hands: the scan runs along -x."""

    def place(self, points_nm: Array) -> Array:
        """Bring grid points [n, 3] into the holder's frame."""
        return np.asarray(points_nm @ np.array(self.matrix).T + self.shift_nm)


@dataclass(frozen=True, eq=False)
class Grid:
    """All assemblies, each about its own centre, and where on the grid these lie [m, 3], nm."""

    assemblies: tuple[Particles, ...]
    places_nm: Array
    stray: Particles
    """Single ones, on the film between them."""


def make_grid(settings: SpecimenSettings, seed: int) -> Grid:
    """Make the grid of this seed; assembly 0 is the one looked at."""
    places = [(0.0, 0.0), *settings.other_assemblies_nm]
    places_nm = np.column_stack([np.array(places), np.zeros(len(places))])
    return Grid(
        tuple(make_assembly(settings, seed, index) for index in range(len(places))),
        places_nm,
        make_stray(settings, seed, places_nm),
    )


def as_loaded(settings: SimulatorSettings) -> Mount:
    """Mount the grid as it is at the start: flat side up, off the tilt axis by its height."""
    identity = tuple(tuple(row) for row in np.eye(3).tolist())
    return Mount(matrix=identity, shift_nm=(0.0, 0.0, settings.stage.eucentric_error_nm))


def remount(
    settings: SimulatorSettings, places_nm: Array, hands: Hands, rng: np.random.Generator
) -> Mount:
    """Take the grid, mounted as at first, out and put it back as `hands` do.

    Whatever was done before, this starts from the first mounting: a mistake can be made good.
    """
    how = settings.remount
    phi_deg = rng.uniform(-180.0, 180.0) if how.in_plane_deg is None else how.in_plane_deg
    if hands is Hands.NOT_FLIPPED:
        phi_deg = 0.0
    seat_deg = how.seat_tilt_deg * np.clip(rng.normal(size=2), -2.0, 2.0)
    turn = Rotation.from_euler("z", phi_deg, degrees=True).as_matrix()
    seat = Rotation.from_euler("xy", seat_deg, degrees=True).as_matrix()
    matrix = turn @ seat @ (FLIP if hands in _FLIPPING else np.eye(3))
    target = places_nm[1 if hands is Hands.OTHER_ASSEMBLY and len(places_nm) > 1 else 0]
    height_nm = rng.normal(0.0, abs(settings.stage.eucentric_error_nm))
    centre = np.append(rng.normal(0.0, how.shift_nm, 2), height_nm)
    return Mount(
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        shift_nm=tuple((centre - matrix @ target).tolist()),
        scan_mirrored=hands is Hands.SCAN_CHANGED,
    )


def size_after(dose_e_per_A2: float, settings: SpecimenSettings) -> float:
    """Size after a dose over the size at first: 1 - a (1 - exp(-dose / d0))."""
    done = -np.expm1(-dose_e_per_A2 / settings.shrinkage_dose_e_per_A2)
    return float(1.0 - settings.shrinkage * done)


def in_holder(grid: Grid, sizes: Array, mount: Mount) -> Particles:
    """Return every particle in the holder's frame, each assembly at its own size [m].

    The assemblies come first, in order.
    """
    centres = [
        mount.place(assembly.centres_nm * size + place)
        for assembly, size, place in zip(grid.assemblies, sizes, grid.places_nm, strict=True)
    ]
    centres.append(mount.place(grid.stray.centres_nm))
    diameters = [each.diameters_nm for each in (*grid.assemblies, grid.stray)]
    return Particles(np.vstack(centres), np.concatenate(diameters))
