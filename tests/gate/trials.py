"""One flip, right or wrong, after a series A on the simulator, and what the gate says of it.

The whole session runs, in virtual time. A series is recorded once; each trial goes on from a copy
of its session and of its simulated world, with other hands, and ends at the gate's first word.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.model.commands import Answer, StopWhen
from controller.model.events import Event, FlipChecked, PromptOpened
from controller.rehearsal.hands import Hands
from controller.rehearsal.loading import load_microscope
from simulator.grid import FLIP
from simulator.settings import Packing
from simulator.world import load_world, save_world
from tests.support.small_session import Run, open_session

OTHER_ASSEMBLIES_NM = ((9000.0, 3000.0), (-7000.0, 8000.0))
"""Too far off for the right one to be found again from another."""
WRONG = (
    Hands.NOT_FLIPPED,
    Hands.TURNED_IN_PLANE,
    Hands.OTHER_ASSEMBLY,
    Hands.SCAN_CHANGED,
)
NAMED = {
    Hands.FLIPPED: "flipped, turned by",
    Hands.NOT_FLIPPED: "same side up",
    Hands.TURNED_IN_PLANE: "same side up",
    Hands.OTHER_ASSEMBLY: "not the object of series A",
    Hands.SCAN_CHANGED: "the scan is mirrored",
}
"""What the gate must say."""

ANGLE_TOLERANCE_DEG = 2.0

PROTOCOL = """
name = "gate"
[scan]
width_px = {side_px}
height_px = {side_px}
pixel_nm = 1.2
dwell_us = 5.0
[shower]
duration_s = 100.0
tilts_deg = [0.0]
[eucentric]
enabled = true
[focus]
before_series = true
[series_a]
start_deg = -70.0
stop_deg = 74.0
step_deg = {step_deg}
[series_b]
start_deg = -60.0
stop_deg = 60.0
step_deg = 30.0
"""


@dataclass(frozen=True)
class Specimen:
    """What lies on the grid, and how it is recorded."""

    packing: Packing
    diameter_nm: float
    seed: int
    step_deg: float = 4.0

    @property
    def protocol(self) -> str:
        side_px = 8 * round(self.diameter_nm / 8)
        return PROTOCOL.format(side_px=side_px, step_deg=self.step_deg)

    def microscope(self, world: Path) -> Microscope:
        """The column with this specimen, as `world` says it was left."""
        specimen = {
            "packing": self.packing,
            "assembly_diameter_nm": self.diameter_nm,
            "other_assemblies_nm": OTHER_ASSEMBLIES_NM,
        }
        return load_microscope("simulator", {"seed": self.seed, "specimen": specimen}, world, False)


@dataclass(frozen=True)
class Trial:
    """What hands did, and what was said of it."""

    specimen: Specimen
    hands: Hands
    check: FlipChecked
    in_plane_deg: float
    """As it was."""

    @property
    def as_it_must_be(self) -> bool:
        """Accepted if right, refused if wrong, and called by its name."""
        right = self.hands is Hands.FLIPPED
        off_deg = (self.check.in_plane_deg - self.in_plane_deg + 180) % 360 - 180
        found = self.check.found.startswith(NAMED[self.hands])
        located = not right or abs(off_deg) < ANGLE_TOLERANCE_DEG
        return self.check.accepted is right and found and located


def trials(specimen: Specimen, hands: Sequence[Hands], folder: Path) -> Iterator[Trial]:
    """Record series A once, then flip as each of `hands` does."""
    recorded = folder / "A"
    recorded.mkdir(parents=True)
    run = _run(recorded, specimen, [Answer(prompt_id="flip", value="stop")])
    run.go()
    for number, one in enumerate(hands):
        place = folder / f"{number}"
        shutil.copytree(recorded, place)
        yield _trial(specimen, one, place, number)
        shutil.rmtree(place)


def _trial(specimen: Specimen, hands: Hands, folder: Path, number: int) -> Trial:
    world_file = folder / "world.json"
    world = load_world(world_file)
    # angle, seat and place are drawn from the seed and the number of flips so far
    earlier = tuple(f"earlier/{n}" for n in range(number))
    save_world(world.model_copy(update={"remounts": earlier}), world_file)
    value = "done" if hands is Hands.FLIPPED else hands.value
    run = _run(folder, specimen, [Answer(prompt_id="flip", value=value)])
    run.go()
    (check,) = run.of(FlipChecked)
    turn = np.array(load_world(world_file).mount.matrix)
    turn = turn @ FLIP if hands in (Hands.FLIPPED, Hands.OTHER_ASSEMBLY) else turn
    in_plane_deg = np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
    return Trial(specimen, hands, check, float(in_plane_deg))


def _run(folder: Path, specimen: Specimen, answers: list[Answer]) -> Run:
    def end_at_the_verdict(event: Event, engine: Engine) -> None:
        refused = isinstance(event, PromptOpened) and event.prompt.id == "flip-check"
        if refused or (isinstance(event, FlipChecked) and event.accepted):
            engine.stop(StopWhen.AFTER_TILT)

    return Run(
        open_session(folder / "session", specimen.protocol),
        connect=lambda: specimen.microscope(folder / "world.json"),
        answers=answers,
        on_event=end_at_the_verdict,
    )
