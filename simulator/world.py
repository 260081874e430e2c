"""The physical world around the simulated column, which outlives the process that owns it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from controller.microscope.interface import Data
from simulator.grid import Mount, as_loaded, size_after
from simulator.settings import SimulatorSettings
from simulator.stage import StageTruth

INITIAL_CURRENT_PA = 50.0


class World(Data):
    """Everything that has happened to the specimen and the column."""

    settings: SimulatorSettings
    mount: Mount
    stage: StageTruth = StageTruth()
    clock_s: float = 0.0
    blanked: bool = True
    valves_open: bool = True
    current_pA: float = INITIAL_CURRENT_PA
    defocus_nm: float = 0.0
    doses_e_per_A2: tuple[float, ...]
    """What each assembly has received."""
    frames: int = 0
    """Exposures begun; each draws its noise from the seed and this number."""
    moves: int = 0
    remounts: tuple[str, ...] = ()
    """Request ids of what hands have done to the grid: never done twice, whoever asks again."""
    frames_as_loaded: int = 0
    """Frames of the first assembly before the grid was first taken out."""
    mean_size_as_loaded: float = 1.0
    """Its mean size in these, over its size before any dose: the truth's scale."""


def size_seen(world: World) -> dict[str, object]:
    """Take one more frame into the first assembly's mean size, as long as the grid is as loaded."""
    if world.remounts:
        return {}
    size = size_after(world.doses_e_per_A2[0], world.settings.specimen)
    number = world.frames_as_loaded + 1
    mean = world.mean_size_as_loaded * world.frames_as_loaded + size
    return {"frames_as_loaded": number, "mean_size_as_loaded": mean / number}


def new_world(settings: SimulatorSettings) -> World:
    """Return the world with the grid just loaded."""
    assemblies = 1 + len(settings.specimen.other_assemblies_nm)
    return World(settings=settings, mount=as_loaded(settings), doses_e_per_A2=(0.0,) * assemblies)


def load_world(path: Path) -> World:
    """Read a world; raise ValueError with one line where it cannot be one."""
    try:
        return World.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{path}: not a simulated world (of this version): {error.error_count()} fields wrong;"
            " remove the file to start with a fresh grid"
        ) from error


def open_world(settings: SimulatorSettings, path: Path | None) -> World:
    """Go on with the world of `path`, or make a new one where there is none.

    How time is kept may differ from before; all else must be the same.
    """
    if path is None or not path.exists():
        return new_world(settings)
    world = load_world(path)
    if world.settings.model_copy(update={"time": settings.time}) != settings:
        raise ValueError(
            f"{path}: this world was made with other simulator settings; go on with those,"
            " or remove the file to start with a fresh grid"
        )
    # a dead process leaves no beam on
    return world.model_copy(update={"settings": settings, "blanked": True})


def save_world(world: World, path: Path) -> None:
    """Write atomically: a reader, or a process killed at any moment, finds a whole world."""
    part = path.with_name(path.name + ".part")
    part.write_text(world.model_dump_json(), encoding="utf-8")
    part.replace(path)
