"""Correct and wrong flips after a simulated series A, each with the result of the flip check.

The whole session runs in virtual time. Series A is recorded once. Each trial continues a copy of
its session and of its simulated world, handles the grid in another way, and ends at the first
result of the flip check.
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
from controller.rehearsal.load_microscope import load_microscope
from controller.rehearsal.operator_actions import OperatorAction
from simulator.grid import FLIP
from simulator.settings import Packing
from simulator.world import load_world, save_world
from tests.support.small_session import Run, open_session

OTHER_ASSEMBLIES_NM = ((9000.0, 3000.0), (-7000.0, 8000.0))
"""So far away that the target assembly is not found again from another one."""
WRONG = (
    OperatorAction.NOT_FLIPPED,
    OperatorAction.TURNED_IN_PLANE,
    OperatorAction.OTHER_ASSEMBLY,
    OperatorAction.SCAN_CHANGED,
)
EXPECTED_FINDINGS = {
    OperatorAction.FLIPPED: "flipped, turned by",
    OperatorAction.NOT_FLIPPED: "same side up",
    OperatorAction.TURNED_IN_PLANE: "same side up",
    OperatorAction.OTHER_ASSEMBLY: "neither side of the object of series A",
    OperatorAction.SCAN_CHANGED: "the scan is mirrored",
}
"""Start of the flip check's finding for each way of handling the grid."""

ANGLE_TOLERANCE_DEG = 2.0

PROTOCOL = """
name = "flip-check"
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
    """Specimen on the grid, and the tilt step of series A."""

    packing: Packing
    diameter_nm: float
    seed: int
    step_deg: float = 4.0

    @property
    def protocol(self) -> str:
        side_px = 8 * round(self.diameter_nm / 8)
        return PROTOCOL.format(side_px=side_px, step_deg=self.step_deg)

    def microscope(self, world: Path) -> Microscope:
        """Load the simulated microscope with this specimen in the state saved in `world`."""
        specimen = {
            "packing": self.packing,
            "assembly_diameter_nm": self.diameter_nm,
            "other_assemblies_nm": OTHER_ASSEMBLIES_NM,
        }
        return load_microscope("simulator", {"seed": self.seed, "specimen": specimen}, world, False)


@dataclass(frozen=True)
class Trial:
    """One way of handling the grid, with the result of the flip check."""

    specimen: Specimen
    action: OperatorAction
    check: FlipChecked
    in_plane_deg: float
    """True in-plane angle."""

    @property
    def correct(self) -> bool:
        """True if the flip was accepted or refused correctly, with the expected finding."""
        flipped = self.action is OperatorAction.FLIPPED
        error_deg = (self.check.in_plane_deg - self.in_plane_deg + 180) % 360 - 180
        finding = self.check.found.startswith(EXPECTED_FINDINGS[self.action])
        angle = not flipped or abs(error_deg) < ANGLE_TOLERANCE_DEG
        return self.check.accepted is flipped and finding and angle


def trials(specimen: Specimen, actions: Sequence[OperatorAction], folder: Path) -> Iterator[Trial]:
    """Record series A once, then continue it with each way of handling the grid."""
    recorded = folder / "A"
    recorded.mkdir(parents=True)
    run = _run(recorded, specimen, [Answer(prompt_id="flip", value="stop")])
    run.go()
    for number, one in enumerate(actions):
        copy = folder / f"{number}"
        shutil.copytree(recorded, copy)
        yield _trial(specimen, one, copy, number)
        shutil.rmtree(copy)


def _trial(specimen: Specimen, action: OperatorAction, folder: Path, number: int) -> Trial:
    world_file = folder / "world.json"
    world = load_world(world_file)
    # angle, seat tilt and position depend on the seed and on the number of earlier flips
    earlier = tuple(f"earlier/{n}" for n in range(number))
    save_world(world.model_copy(update={"remounts": earlier}), world_file)
    value = "done" if action is OperatorAction.FLIPPED else action.value
    run = _run(folder, specimen, [Answer(prompt_id="flip", value=value)])
    run.go()
    (check,) = run.of(FlipChecked)
    turn = np.array(load_world(world_file).mount.matrix)
    turn = (
        turn @ FLIP if action in (OperatorAction.FLIPPED, OperatorAction.OTHER_ASSEMBLY) else turn
    )
    in_plane_deg = np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
    return Trial(specimen, action, check, float(in_plane_deg))


def _run(folder: Path, specimen: Specimen, answers: list[Answer]) -> Run:
    def stop_after_the_check(event: Event, engine: Engine) -> None:
        refused = isinstance(event, PromptOpened) and event.prompt.id == "flip-check"
        if refused or (isinstance(event, FlipChecked) and event.accepted):
            engine.stop(StopWhen.AFTER_TILT)

    return Run(
        open_session(folder / "session", specimen.protocol),
        connect=lambda: specimen.microscope(folder / "world.json"),
        answers=answers,
        on_event=stop_after_the_check,
    )
