"""Grid in the holder: the assemblies, their mounting, and the flip with its possible mistakes.

The frame of the grid is that of the first assembly (see specimen). In series A it differs from
the frame of the holder by a shift only. The flip is F = diag(1, -1, -1), a rotation by 180
degrees about x. Remounting adds an in-plane angle phi, a seat tilt and a shift:
p_B = Rz(phi) . Rseat . F . p_A + shift.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from controller.model.base import Data
from controller.rehearsal.operator_actions import OperatorAction
from simulator.deformation import deformed
from simulator.settings import SimulatorSettings, SpecimenSettings
from simulator.specimen import Particles, joined, make_assembly
from simulator.stray_particles import scatter_stray_particles

Array = NDArray[np.float64]

FLIP = np.diag([1.0, -1.0, -1.0])
_TURNED_OVER = {OperatorAction.FLIPPED, OperatorAction.OTHER_ASSEMBLY}


class Mount(Data):
    """Position of the grid in the holder: p_holder = matrix . p_grid + shift_nm."""

    matrix: tuple[tuple[float, float, float], ...]
    shift_nm: tuple[float, float, float]
    scan_mirrored: bool = False
    """The scan runs along -x: a mistake of the operator, not a property of the grid."""

    def to_holder(self, points_nm: Array) -> Array:
        """Transform grid points [n, 3] into the frame of the holder."""
        return np.asarray(points_nm @ np.array(self.matrix).T + self.shift_nm)


@dataclass(frozen=True, eq=False)
class Grid:
    """All particles of the grid, before any deformation."""

    settings: SpecimenSettings
    assemblies: tuple[Particles, ...]
    """Each relative to its own centre."""
    assembly_positions_nm: Array
    """Centres of the assemblies on the grid, [m, 3]."""
    stray_particles: Particles
    """Single particles on the film between the assemblies."""


def make_grid(settings: SpecimenSettings, seed: int) -> Grid:
    """Make the grid for this seed; assembly 0 is the one to be imaged."""
    positions = [(0.0, 0.0), *settings.other_assemblies_nm]
    positions_nm = np.column_stack([np.array(positions), np.zeros(len(positions))])
    return Grid(
        settings,
        tuple(
            make_assembly(settings, seed, seed_index(settings, index))
            for index in range(len(positions))
        ),
        positions_nm,
        scatter_stray_particles(settings, seed, positions_nm),
    )


def seed_index(settings: SpecimenSettings, index: int) -> int:
    """Return the number, from 0, that determines the particles of an assembly: see `alike`."""
    copied = {second - 1: first - 1 for first, second in settings.alike}
    return copied.get(index, index)


def mount_as_loaded(settings: SimulatorSettings) -> Mount:
    """Return the mounting at the start: flat side up, off the tilt axis by the height error."""
    identity = tuple(tuple(row) for row in np.eye(3).tolist())
    return Mount(matrix=identity, shift_nm=(0.0, 0.0, settings.stage.eucentric_error_nm))


def remount(
    settings: SimulatorSettings,
    assembly_positions_nm: Array,
    action: OperatorAction,
    rng: np.random.Generator,
) -> Mount:
    """Return the mounting after the operator took the grid out and put it back as `action` says.

    It always starts from the first mounting, so that a mistake can be corrected by a new remount.
    """
    changes = settings.remount
    phi_deg = rng.uniform(-180.0, 180.0) if changes.in_plane_deg is None else changes.in_plane_deg
    if action is OperatorAction.NOT_FLIPPED:
        phi_deg = 0.0
    seat_deg = changes.seat_tilt_deg * np.clip(rng.normal(size=2), -2.0, 2.0)
    in_plane = Rotation.from_euler("z", phi_deg, degrees=True).as_matrix()
    seat = Rotation.from_euler("xy", seat_deg, degrees=True).as_matrix()
    matrix = in_plane @ seat @ (FLIP if action in _TURNED_OVER else np.eye(3))
    imaged = imaged_assembly(action, len(assembly_positions_nm))
    height_nm = rng.normal(0.0, abs(settings.stage.eucentric_error_nm))
    centre = np.append(rng.normal(0.0, changes.shift_nm, 2), height_nm)
    return Mount(
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        shift_nm=tuple((centre - matrix @ assembly_positions_nm[imaged]).tolist()),
        scan_mirrored=action is OperatorAction.SCAN_CHANGED,
    )


def imaged_assembly(action: OperatorAction, assemblies: int) -> int:
    """Return the index of the assembly under the beam after the flip."""
    return 1 if action is OperatorAction.OTHER_ASSEMBLY and assemblies > 1 else 0


def particles_in_holder(
    grid: Grid, shares: Array, mount: Mount, lost: Collection[int] = ()
) -> Particles:
    """Return all particles in the frame of the holder: assemblies in order, then stray ones.

    Parameters
    ----------
    shares
        Share of its final deformation that each assembly has reached, [m].
    lost
        Assemblies that are no longer on the grid, from 0.
    """
    present = [index for index in range(len(grid.assemblies)) if index not in lost]
    turn = Rotation.from_matrix(np.array(mount.matrix))
    shown = [
        grid.assemblies[index].moved(
            mount.to_holder(
                deformed(grid.assemblies[index].centres_nm, shares[index], grid.settings)
                + grid.assembly_positions_nm[index]
            ),
            turn,
        )
        for index in present
    ]
    strays = grid.stray_particles
    return joined([*shown, strays.moved(mount.to_holder(strays.centres_nm), turn)])
