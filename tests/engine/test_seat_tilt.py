"""Seat tilt from the heights of the targets, which the simulator's stage measures at each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from controller.hardware.interface import Microscope
from controller.model.events import Alerted, Event, Level
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.eucentric import HeightLocation, height_error_nm, refine_height
from controller.procedures.flip.check_flip import not_compared
from controller.procedures.flip.seat_tilt import (
    GridSeat,
    find_seat_tilt,
    read_heights,
    report_seat_tilt,
)
from controller.procedures.guarded_microscope import GuardedMicroscope
from controller.procedures.tracking.centre import keep_centred
from controller.rehearsal.operator_actions import OperatorAction
from controller.session.entries import FlipJudged, HeightMeasured
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.session import Session
from simulator import microscope as simulator
from simulator.grid import FLIP, Mount
from simulator.settings import SimulatorSettings
from tests.support.small_session import FakeJobs, write_report

PLACES_NM = {
    "one": (0.0, 0.0),
    "two": (20000.0, 3000.0),
    "three": (-15000.0, 12000.0),
    "four": (5000.0, -18000.0),
    "five": (-9000.0, -11000.0),
    "six": (11000.0, 14000.0),
}
IN_PLANE_DEG = 144.0
SAYS, OFF = "show a seat tilt", "the plane of the other targets"
PROTOCOL = """
name = "heights"
[scan]
width_px = 56
height_px = 56
pixel_nm = 1.05
dwell_us = 20.0
[eucentric]
enabled = true
[shower]
enabled = false
"""
TARGET = '[[targets]]\nname = "{}"\nx_nm = {}\ny_nm = {}\n'


class Bench:
    """Grid on the simulator of which only the heights are measured, before and after its flip.

    Parameters
    ----------
    seat_deg
        Tilt in the seat about x and about y.
    names
        Targets whose heights are measured.
    """

    def __init__(
        self,
        folder: Path,
        seat_deg: tuple[float, float],
        names: tuple[str, ...] = (*PLACES_NM,),
        seed: int = 1,
    ) -> None:
        self.grid = GridFolder(folder)
        _, *others = PLACES_NM.values()
        settings = {
            "seed": seed,
            "specimen": {
                "packing": "disordered",
                "assembly_diameter_nm": 38.0,
                "other_assemblies_nm": others,
            },
        }
        self.microscope = simulator.create(SimulatorSettings.model_validate(settings))
        seat = Rotation.from_euler("xy", seat_deg, degrees=True)
        self.turn = (Rotation.from_euler("z", IN_PLANE_DEG, degrees=True) * seat).as_matrix()
        self._names = names
        self._mount = Mount(matrix=_rows(np.eye(3)), shift_nm=(0.0, 0.0, 20.0))
        self.said: dict[str, list[Alerted]] = {name: [] for name in names}
        text = PROTOCOL + "".join(TARGET.format(name, *PLACES_NM[name]) for name in names)
        for name in names:
            SessionFolder.create(self.grid.target(name).path, f'target = "{name}"\n{text}')

    @property
    def true_slopes(self) -> np.ndarray:
        """Rise of the flipped grid along x and y."""
        x, y, z = self.turn[:, 2]
        return np.array([-x / z, -y / z])

    def seat(self) -> GridSeat | None:
        """Return the seat tilt of all targets."""
        return find_seat_tilt(read_heights(self.grid, self._names))

    def measure(self, heights_nm: Mapping[str, float], series: str) -> None:
        """Measure the height of each target; `heights_nm` are those on the film, of some."""
        places_nm = np.array([(*at, heights_nm.get(n, 0.0)) for n, at in PLACES_NM.items()])
        # the operator bends the film by hand
        grid = self.microscope._grid
        self.microscope._grid = replace(grid, assembly_positions_nm=places_nm)
        at_nm = dict(zip(PLACES_NM, self._mount.to_holder(places_nm), strict=True))
        for name in self._names:
            x_nm, y_nm, _ = at_nm[name]
            self._measure(name, series, StagePosition(x_nm=8.0 - x_nm, y_nm=-5.0 - y_nm))

    def flip(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Flip the grid; it is put back with the tilt in its seat."""
        self._mount = Mount(matrix=_rows(self.turn @ FLIP), shift_nm=(40.0, -70.0, -30.0))
        monkeypatch.setattr(simulator, "remount", lambda *_: self._mount)
        self.microscope.simulate_operator("flip", OperatorAction.FLIPPED)

    def _measure(self, name: str, series: str, place: StagePosition) -> None:
        session = Session.open(self.grid.target(name))
        context = _context(session, self.microscope, self.said[name].append)
        column = context.microscope
        column.set_current("flip", context.protocol.series_a.current_pA)
        column.move("flip", place)
        keep_centred(context, "flip", "look")
        refine_height(context, "flip", series)  # type: ignore[arg-type]
        if series == "B":
            check = not_compared("flipped").model_copy(update={"accepted": True})
            session.enter(FlipJudged(check=check))
            report_seat_tilt(context, "flip")
        session.close()


def _rows(matrix: np.ndarray) -> Any:
    return tuple(tuple(row) for row in matrix.tolist())


def _context(session: Session, microscope: Microscope, say: Any) -> Context:
    def publish(event: Event) -> None:
        if isinstance(event, Alerted):
            say(event)

    column = GuardedMicroscope(lambda: microscope, session, publish, lambda *_: None)
    return Context(
        session=session,
        operator=None,  # type: ignore[arg-type]
        jobs=FakeJobs(),
        publish=publish,
        write_report=write_report,
        microscope=column,
        left_s=lambda _: 0.0,
        tilts_left=lambda _: 0,
    )


FLAT: dict[str, float] = {}
BENT = {"two": 400.0, "three": -300.0, "four": 250.0, "five": -400.0, "six": 350.0}


@pytest.mark.parametrize(
    ("seed", "seat_deg", "film_nm"),
    [
        pytest.param(1, (0.0, 0.0), FLAT, id="no tilt"),
        pytest.param(2, (1.0, 0.0), FLAT, id="1 degree about x"),
        pytest.param(3, (0.0, -1.0), FLAT, id="1 degree about y"),
        pytest.param(4, (-2.0, 0.0), FLAT, id="2 degrees about x"),
        pytest.param(5, (0.0, 2.0), FLAT, id="2 degrees about y"),
        pytest.param(6, (-0.8, 1.4), BENT, id="a film that is bent"),
    ],
)
def test_the_seat_tilt_is_found_within_its_error(
    seed: int,
    seat_deg: tuple[float, float],
    film_nm: dict[str, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(tmp_path, seat_deg, seed=seed)
    bench.measure(film_nm, "A")
    assert bench.seat() is None
    bench.flip(monkeypatch)
    bench.measure(film_nm, "B")
    seat = bench.seat()
    assert seat is not None and seat.names == (*PLACES_NM,) and seat.doubts == {}
    off_deg = np.degrees(np.hypot(*(bench.true_slopes - seat.tilt.slopes)))
    assert off_deg < seat.tilt.error_deg < 0.2
    assert ("rising towards" in seat.line) is (seat_deg != (0.0, 0.0))
    said = [[alert.level for alert in bench.said[name] if SAYS in alert.text] for name in PLACES_NM]
    assert said == [[], [], *([[Level.INFO]] * 4)]  # from the third target on


def test_a_target_that_moved_on_its_film_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, (0.5, 1.0), seed=7)
    bench.measure(BENT, "A")
    bench.flip(monkeypatch)
    bench.measure({**BENT, "six": BENT["six"] + 200.0}, "B")
    seat = bench.seat()
    assert seat is not None
    (doubt,) = seat.doubts.values()
    assert "six" in seat.doubts and "nm below the plane of the other targets" in doubt
    assert np.degrees(np.hypot(*(bench.true_slopes - seat.tilt.slopes))) < seat.tilt.error_deg
    warned = {name: [a.text for a in said if OFF in a.text] for name, said in bench.said.items()}
    assert warned == {**{name: [] for name in PLACES_NM}, "six": [doubt]}


def test_two_targets_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, (1.0, 1.0), ("two", "three"))
    bench.measure(FLAT, "A")
    bench.flip(monkeypatch)
    bench.measure(FLAT, "B")
    assert bench.seat() is None
    assert not [alert for said in bench.said.values() for alert in said if SAYS in alert.text]


HEIGHT = HeightMeasured(
    step_id="A-height", series="A", stage=StagePosition(x_nm=1.0, z_nm=2.0), error_nm=5.0
)


@pytest.mark.parametrize(
    ("height_b", "flipped", "known"),
    [
        pytest.param(HEIGHT.model_copy(update={"series": "B"}), True, True, id="both heights"),
        pytest.param(HEIGHT.model_copy(update={"series": "B"}), False, False, id="not recognised"),
        pytest.param(
            HeightMeasured(step_id="flip", series="B", stage=None), True, False, id="not found in B"
        ),
        pytest.param(None, True, False, id="no height in B"),
    ],
)
def test_only_targets_with_both_heights_count(
    height_b: HeightMeasured | None, flipped: bool, known: bool, tmp_path: Path
) -> None:
    grid = GridFolder(tmp_path)
    SessionFolder.create(grid.target("one").path, PROTOCOL)
    session = Session.open(grid.target("one"))
    session.enter(HEIGHT)
    if height_b is not None:
        session.enter(height_b)
    if flipped:
        session.enter(FlipJudged(check=not_compared("")))
    session.close()
    (grid.path / "sessions" / "two").mkdir()
    (grid.path / "sessions" / "two" / "journal.jsonl").write_text("damaged\n")
    heights = read_heights(grid, ["one", "two", "not begun"])
    assert list(heights) == (["one"] if known else [])
    if known:
        assert heights["one"].errors_nm == (5.0, 5.0)


def test_the_images_of_a_height_show_its_error() -> None:
    rng = np.random.default_rng(9)
    error_nm, squares = 5.0, []
    for _ in range(500):
        seen = []
        for tilt_deg in (5.0, 30.0):
            below, above = rng.normal(0, error_nm, 2)
            t = np.radians(tilt_deg)
            across_nm = (above + below) / (2 * np.cos(t))
            seen.append(HeightLocation(tilt_deg, across_nm, (above - below) / (2 * np.sin(t))))
        squares.append((height_error_nm(seen) or 0.0) ** 2)
    true_nm = error_nm / (np.sqrt(2) * np.sin(np.radians(30.0)))
    assert np.sqrt(np.mean(squares)) == pytest.approx(true_nm, rel=0.1)
    assert height_error_nm(seen[:1]) is None
