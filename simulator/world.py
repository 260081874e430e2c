"""State of the simulated column and its specimen; saved, so that it survives the process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError

from controller.common.atomic import replace_text
from controller.common.bounded_read import read_bounded
from controller.hardware.interface import MicroscopeError
from controller.model.base import Data
from simulator.deformation import share_reached
from simulator.grid import Mount, mount_as_loaded
from simulator.settings import SimulatorSettings
from simulator.stage import StageTruth

INITIAL_CURRENT_PA = 50.0


class World(Data):
    """Complete state of the specimen and the column."""

    settings: SimulatorSettings
    mount: Mount
    stage: StageTruth = StageTruth()
    clock_s: float = 0.0
    blanked: bool = True
    valves_open: bool = True
    current_pA: float = INITIAL_CURRENT_PA
    defocus_nm: float = 0.0
    doses_e_per_A2: tuple[float, ...]
    """Dose received by each assembly."""
    frames: int = 0
    """Number of exposures started. Seed and this number determine the noise of a frame."""
    moves: int = 0
    """Number of stage moves. Seed and this number determine the errors of a move."""
    remounts: tuple[str, ...] = ()
    """Request ids of the remounts done. A repeated id does not remount the grid again."""
    frames_as_loaded: tuple[int, ...]
    """Number of exposures of each assembly before the grid was first taken out."""
    mean_deformation_as_loaded: tuple[float, ...]
    """Share of its final deformation that each assembly had on average in these exposures.

    It sets the shape of the truth."""


def mean_deformation_update(world: World, doses_e_per_A2: tuple[float, ...]) -> dict[str, object]:
    """Return the changed fields after one more frame; none once the grid was taken out.

    Parameters
    ----------
    world
        State at the first pixel of the frame.
    doses_e_per_A2
        Dose of each assembly after the frame.
    """
    if world.remounts:
        return {}
    before = np.array(world.doses_e_per_A2)
    shares = np.array([share_reached(dose, world.settings.specimen) for dose in before])
    known, means = np.array(world.frames_as_loaded), np.array(world.mean_deformation_as_loaded)
    numbers = known + (np.array(doses_e_per_A2) > before)
    means = np.where(numbers > known, (means * known + shares) / np.maximum(numbers, 1), means)
    return {
        "frames_as_loaded": tuple(numbers.tolist()),
        "mean_deformation_as_loaded": tuple(means.tolist()),
    }


def lost_assemblies(world: World) -> tuple[int, ...]:
    """Return the assemblies that fell off when the grid was first taken out, from 0."""
    return tuple(n - 1 for n in world.settings.specimen.lost_at_flip) if world.remounts else ()


def new_world(settings: SimulatorSettings) -> World:
    """Return the state with the grid freshly loaded."""
    assemblies = 1 + len(settings.specimen.other_assemblies_nm)
    return World(
        settings=settings,
        mount=mount_as_loaded(settings),
        doses_e_per_A2=(0.0,) * assemblies,
        frames_as_loaded=(0,) * assemblies,
        mean_deformation_as_loaded=(0.0,) * assemblies,
    )


def load_world(path: Path) -> World:
    """Read a saved state; raise ValueError with a one-line message if it is not valid."""
    try:
        return World.model_validate_json(read_bounded(path))
    except ValidationError as error:
        raise ValueError(
            f"{path}: not a simulated world of this version ({error.error_count()} wrong fields);"
            " delete the file to start with a fresh grid"
        ) from error


def open_world(settings: SimulatorSettings, path: Path | None) -> World:
    """Load the state from `path`, or create a new one if the file does not exist.

    The time mode may differ from the saved settings. Raises ValueError if any other setting does.
    """
    if path is None or not path.exists():
        return new_world(settings)
    world = load_world(path)
    if world.settings.model_copy(update={"time": settings.time}) != settings:
        raise ValueError(
            f"{path}: this world was made with other simulator settings; use those settings,"
            " or delete the file to start with a fresh grid"
        )
    # the process that saved the state has ended: its beam is off
    return world.model_copy(update={"settings": settings, "blanked": True})


def save_world(world: World, path: Path) -> None:
    """Write the state atomically, so that the file is complete even if the process is killed.

    Raises
    ------
    MicroscopeError
        The disk refuses it; the message names the folder.
    """
    try:
        replace_text(path, world.model_dump_json())
    except OSError as error:
        raise MicroscopeError(
            f"{path.absolute().parent}: the simulator cannot write its state here: "
            f"{error.strerror or error}"
        ) from error
