"""Several targets on one grid: each session stops at the flip, and all are found again after it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from controller.app.grid_status import read_status
from controller.app.run_queue import Outcome, run_queue
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.engine.results_run import ResultsRun
from controller.model.commands import Answer, StopWhen
from controller.model.events import Alerted, Event, FlipChecked, PromptOpened, State, StateChanged
from controller.model.prompts import FlipAnswer, FlipCheckAnswer, PromptId
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from controller.model.steps import FLIP_STEP_ID, FlipForAll
from controller.model.targets import FoundTargets
from controller.procedures.flip import flip_for_all, side_by_images
from controller.procedures.flip.check_flip import not_compared
from controller.procedures.flip.judge_angle import judge_angle
from controller.rehearsal.operator_actions import OperatorAction
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import GridFlipped, QueueJournal, QueueOpened, TargetState
from controller.session.session import Session
from processing.files.examine import ReadingOptions, examine_series
from processing.images.placement import MIRROR
from simulator.microscope import create
from simulator.settings import SimulatorSettings
from simulator.world import load_world
from tests.support.small_grid import EMPTY_NM, PLACES_NM, write_grid_protocol
from tests.support.small_session import FakeJobs, write_report

SEED, TILTS = 7, 5


class SessionsInOneProcess:
    """Sessions of a grid on one simulated microscope; processing ends at once."""

    def __init__(self, folder: Path, protocol_path: Path, flips: list[str]) -> None:
        self.grid = GridFolder(folder)
        self._text = protocol_path.read_text()
        content = tomllib.loads((protocol_path.parent / "simulator" / "small.toml").read_text())
        settings = SimulatorSettings.model_validate(content)
        self._microscope = create(settings, self.grid.path / "world.json")
        self._flips = flips
        self.protocol = Protocol.model_validate(tomllib.loads(self._text))
        self.runs: list[str] = []
        self.results: list[str] = []
        self.said: list[tuple[str, str]] = []
        """Session and text of each alert."""

    def run_target(self, name: str) -> Outcome:
        return self._run(self.grid.target(name), f'target = "{name}"\n{self._text}', name)

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped | None]:
        targets = {each.name: each for each in self.protocol.targets or ()}
        self.grid.write_positions({n: (targets[n].x_nm, targets[n].y_nm) for n in recorded})
        outcome = self._run(self.grid.flip, self._text, "flip")
        found = self.grid.read_found()
        return outcome, GridFlipped(order=recorded, detail=found.detail) if found else None

    def make_results(self, name: str) -> Outcome:
        self.results.append(name)
        session = Session.open(self.grid.target(name))
        run = ResultsRun(session, FakeJobs(), lambda _: None, write_report)
        code = run.run()
        session.close()
        return Outcome(code)

    def _run(self, folder: SessionFolder, text: str, name: str) -> Outcome:
        self.runs.append(name)
        if not folder.journal.exists():
            SessionFolder.create(folder.path, text)
        session, reasons = Session.open(folder), [""]

        def publish(event: Event) -> None:
            if isinstance(event, PromptOpened):
                engine.answer(self._answer(event))
            if isinstance(event, Alerted):
                self.said.append((name, event.text))
            if isinstance(event, StateChanged):
                reasons.append(event.reason)
                if event.state is State.PAUSED:  # nobody is there to end it
                    engine.stop(StopWhen.NOW)

        engine = Engine(session, lambda: self._microscope, FakeJobs(), publish, write_report)
        code = engine.run()
        session.close()
        recorded = {name for name, frames in session.ledger.frames.items() if len(frames) >= TILTS}
        return Outcome(code, reasons[-1], recorded=frozenset(recorded))

    def _answer(self, event: PromptOpened) -> Answer:
        if event.prompt.id is PromptId.FLIP:
            return Answer(prompt_id=PromptId.FLIP, value=self._flips.pop(0))
        return Answer(prompt_id=PromptId.FLIP_CHECK, value=FlipCheckAnswer.BACK_TO_FLIP)


def run(
    folder: Path,
    places_nm: dict[str, tuple[float, float]],
    flips: list[str],
    specimen: str = "",
    assemblies_nm: Collection[tuple[float, float]] = PLACES_NM.values(),
    seed: int = SEED,
    column: str = "",
) -> tuple[SessionsInOneProcess, QueueJournal, ExitCode]:
    protocol = write_grid_protocol(
        folder, places_nm, seed=seed, specimen=specimen, assemblies_nm=assemblies_nm, column=column
    )
    (folder / "grid").mkdir()
    sessions = SessionsInOneProcess(folder / "grid", protocol, flips)
    journal = QueueJournal(sessions.grid.journal)
    journal.append(QueueOpened(order=tuple(places_nm)))
    code = run_queue(journal, sessions, lambda: False, lambda: None, print)
    journal.close()
    return sessions, journal, code


def found_where_they_are(
    grid: GridFolder, before_nm: dict[str, tuple[float, float]]
) -> tuple[FoundTargets, float]:
    """Assert that the flipped targets were found; return them, and the grid's rotation (degrees).

    Parameters
    ----------
    before_nm
        Stage position of each target before the flip.
    """
    found, mount = grid.read_found(), load_world(grid.path / "world.json").mount
    assert found is not None and found.in_plane_deg is not None
    for name, (x_nm, y_nm) in before_nm.items():
        # a stage position brings what lies at its opposite into the image centre
        true_nm = -mount.to_holder(np.array([[-x_nm, -y_nm, 0.0]]))[0, :2]
        (place_nm,) = found.places_nm[name]
        assert np.hypot(*(true_nm - place_nm)) < 100.0
    return found, found.in_plane_deg


def test_one_flip_serves_all_targets_and_a_failing_one_stops_nobody(tmp_path: Path) -> None:
    places_nm = {**PLACES_NM, "empty": EMPTY_NM}
    flips = [OperatorAction.TURNED_IN_PLANE, FlipAnswer.DONE]
    specimen = "alike = [[1, 2]]\nlost_at_flip = [3]\n"
    sessions, journal, code = run(tmp_path, places_nm, flips, specimen)
    assert sessions.runs == [*places_nm, "flip", *PLACES_NM]
    assert sessions.results == ["one", "two", "four"]
    assert flips == []  # the grid that was only turned came out again
    assert "flipped" in journal.state.flip and "3 of 4 targets" in journal.state.flip
    targets = journal.state.targets
    assert journal.state.in_state(TargetState.DONE) == ("one", "two", "four")
    assert journal.state.in_state(TargetState.SET_ASIDE) == ("three", "empty")
    assert "find-target: no object within 4 fields" in targets["empty"].reason
    assert targets["three"].reason.startswith("flip: ")
    assert code == ExitCode.SAFETY
    for name in ("one", "two", "four"):
        session = Session.open(sessions.grid.target(name))
        assert [len(session.ledger.frames[series]) for series in ("A", "B")] == [TILTS, TILTS]
        assert session.ledger.flip is not None and session.ledger.flip.accepted
        assert [answer.by for answer in session.ledger.answers] == ["the grid"]
        assert "fuse" in session.ledger.completed and (session.folder.report).exists()
        session.close()


FAR_APART_NM = {
    "one": (0.0, 0.0),
    "two": (1500.0, 300.0),
    "three": (-500.0, 1300.0),
    "four": (700.0, -1400.0),
}


def test_the_seat_tilt_is_logged_while_series_b_is_recorded(tmp_path: Path) -> None:
    sessions, journal, code = run(
        tmp_path,
        FAR_APART_NM,
        [FlipAnswer.DONE],
        assemblies_nm=FAR_APART_NM.values(),
        column="[eucentric]\nenabled = true\n",
    )
    assert code == ExitCode.OK, journal.state.targets
    says = [(name, text) for name, text in sessions.said if "show a seat tilt of" in text]
    assert [name for name, _ in says] == ["three", "four"]
    assert says[-1][1].startswith("the heights of 4 targets")
    assert read_status(sessions.grid, "grid", journal.state).seat_tilt == says[-1][1]


THREE_NM = {name: PLACES_NM[name] for name in ("one", "two", "three")}


@pytest.mark.parametrize("turned_deg", [10.0, 90.0, -170.0])
def test_a_scan_that_is_rotated_against_the_stage_costs_no_target(
    turned_deg: float, tmp_path: Path
) -> None:
    flips = [OperatorAction.TURNED_IN_PLANE, FlipAnswer.DONE]
    sessions, journal, code = run(
        tmp_path,
        THREE_NM,
        flips,
        f"[scan]\nrotation_deg = {turned_deg}\n",
        assemblies_nm=THREE_NM.values(),
        column=f"tilt_axis_deg = {turned_deg}\n",
    )
    assert code == ExitCode.OK, journal.state.targets
    assert flips == []  # the grid that was only turned came out again
    found, in_plane_deg = found_where_they_are(sessions.grid, THREE_NM)
    for name in THREE_NM:
        session = Session.open(sessions.grid.target(name))
        check = session.ledger.flip
        assert check is not None and check.accepted
        said = examine_series(session.folder.stack("B"), ReadingOptions()).inputs.tilt_axis_deg
        assert said == turned_deg
        turned = (check.in_plane_deg - in_plane_deg + 180) % 360 - 180
        assert abs(turned) < found.in_plane_limit_deg
        session.close()


@pytest.mark.parametrize("turned_deg", [-6.0, 12.0, 90.0])
def test_an_unknown_rotation_of_the_scan_is_named_with_its_remedy_before_series_a(
    turned_deg: float, tmp_path: Path
) -> None:
    column = "tilt_axis_deg = 20\n"
    rotated = f"[scan]\nrotation_deg = {20 + turned_deg}\n"
    sessions, journal, code = run(tmp_path, PAIR_NM, [], rotated, column=column)
    assert code == ExitCode.SAFETY and sessions.runs == list(PAIR_NM)
    for target in journal.state.targets.values():
        said = re.fullmatch(
            r"find-target: the scan is rotated by about (\d+) degrees: rotate it back, or set "
            r"column.tilt_axis_deg = (-?\d+)",
            target.reason,
        )
        assert said is not None, target.reason
        assert abs(float(said[1]) - turned_deg % 360) <= 1.0
        assert abs(float(said[2]) - 20 - turned_deg) <= 1.0


MIRROR_SYMMETRIC = {"one": (0.0, 0.0), "up": (500.0, 300.0), "down": (500.0, -300.0)}


@pytest.mark.parametrize(
    ("places_nm", "flips"),
    [
        pytest.param(
            {"one": (0.0, 0.0)},
            [OperatorAction.TURNED_IN_PLANE, FlipAnswer.DONE],
            id="one target, turned only the first time",
        ),
        pytest.param(MIRROR_SYMMETRIC, [FlipAnswer.DONE], id="their own mirror image"),
    ],
)
def test_where_positions_do_not_tell_the_side_the_image_of_a_target_does(
    places_nm: dict[str, tuple[float, float]], flips: list[str], tmp_path: Path
) -> None:
    left = [*flips]
    sessions, journal, code = run(tmp_path, places_nm, left, assemblies_nm=places_nm.values())
    assert code == ExitCode.OK, journal.state.targets
    assert left == []  # the grid that was only turned came out again
    assert "only their images do; the image of one: flipped" in journal.state.flip
    flip = Session.open(sessions.grid.flip)
    assert FLIP_STEP_ID in flip.ledger.completed
    flip.close()
    for name in places_nm:
        session = Session.open(sessions.grid.target(name))
        assert session.ledger.flip is not None and session.ledger.flip.accepted
        session.close()


PAIR_NM = {"one": (0.0, 0.0), "two": (700.0, 100.0)}


def test_an_empty_place_that_fits_the_positions_better_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_nm = np.array(list(PAIR_NM.values())) * MIRROR + [0.0, 900.0]
    survey = flip_for_all.survey_grid
    monkeypatch.setattr(
        flip_for_all, "survey_grid", lambda *step: np.vstack([empty_nm, survey(*step)])
    )
    _, journal, code = run(tmp_path, PAIR_NM, [FlipAnswer.DONE], assemblies_nm=PAIR_NM.values())
    assert code == ExitCode.OK, journal.state.targets
    assert journal.state.in_state(TargetState.DONE) == tuple(PAIR_NM)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(7, id="the right place is tried first"),
        pytest.param(8, id="the place of the other is tried first"),
    ],
)
def test_two_targets_that_look_alike_are_not_exchanged(seed: int, tmp_path: Path) -> None:
    sessions, journal, code = run(
        tmp_path,
        PAIR_NM,
        [FlipAnswer.DONE],
        "alike = [[1, 2]]\n",
        assemblies_nm=PAIR_NM.values(),
        seed=seed,
    )
    assert code == ExitCode.OK, journal.state.targets
    found_where_they_are(sessions.grid, PAIR_NM)


FLIPPED = not_compared("flipped").model_copy(update={"accepted": True})


@pytest.mark.parametrize(
    ("turned_deg", "grid_deg", "accepted"),
    [
        pytest.param(143.0, 144.2, True, id="as the grid"),
        pytest.param(-179.0, 178.0, True, id="across 180 degrees"),
        pytest.param(150.9, 144.2, False, id="beyond the limit"),
        pytest.param(-36.0, 144.2, False, id="turned round"),
        pytest.param(-36.0, None, True, id="the angle of the grid is not known"),
    ],
)
def test_a_target_must_be_turned_as_the_grid_is(
    turned_deg: float, grid_deg: float | None, accepted: bool
) -> None:
    check = FLIPPED.model_copy(update={"in_plane_deg": turned_deg})
    found = FoundTargets(
        detail="", in_plane_deg=grid_deg, places_nm={}, seen=(), in_plane_limit_deg=6.0
    )
    judged = judge_angle(check, found, 0.0)
    assert judged.accepted is accepted
    assert ("and the grid by 144: another assembly" in judged.found) is not accepted


def test_a_refused_target_keeps_its_reason() -> None:
    refused = not_compared("no object")
    found = FoundTargets(detail="", in_plane_deg=1.0, places_nm={}, seen=(), in_plane_limit_deg=6.0)
    assert judge_angle(refused, found, 0.0) == refused


def seen_at(in_plane_deg: float) -> FlipChecked:
    return FLIPPED.model_copy(update={"in_plane_deg": in_plane_deg})


ONLY_TURNED = not_compared("same side up").model_copy(update={"same_side_score": 0.9})
OTHER = not_compared("neither side")


@pytest.mark.parametrize(
    ("at_own_place", "at_the_other", "begins", "says", "certain"),
    [
        pytest.param(OTHER, OTHER, True, "no image tells it either", False, id="no image tells it"),
        pytest.param(seen_at(20.0), OTHER, True, "of one: flipped", True, id="flipped"),
        pytest.param(seen_at(20.0), seen_at(20.0), True, "of one: flipped", True, id="both alike"),
        pytest.param(
            seen_at(100.0), OTHER, True, "which fits no positions of the others", False, id="angle"
        ),
        pytest.param(
            ONLY_TURNED, OTHER, False, "the image of one: same side up", False, id="only turned"
        ),
    ],
)
def test_the_image_of_a_target_decides_where_the_positions_do_not(
    at_own_place: FlipChecked,
    at_the_other: FlipChecked,
    begins: bool,
    says: str,
    certain: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = np.radians(20.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    places_nm = {n: rotation @ (np.array(at) * MIRROR) for n, at in PAIR_NM.items()}

    def check_at_place(_: Any, __: str, place: StagePosition, series_a: Any) -> FlipChecked:
        expected_nm = places_nm[series_a.args[0].path.name]
        is_own = np.hypot(*(expected_nm - (place.x_nm, place.y_nm))) < 1.0
        return at_own_place if is_own else at_the_other

    monkeypatch.setattr(side_by_images, "check_at_place", check_at_place)
    warned: list[str] = []
    protocol = write_grid_protocol(tmp_path, PAIR_NM, seed=SEED, assemblies_nm=PAIR_NM.values())
    context: Any = SimpleNamespace(
        alert=lambda _, text, __: warned.append(text),
        publish=lambda _: None,
        operator=SimpleNamespace(checkpoint=lambda: None),
        session=SimpleNamespace(folder=GridFolder(tmp_path).flip),
        protocol=Protocol.model_validate(tomllib.loads(protocol.read_text())),
    )
    search = flip_for_all.TargetSearch(
        PAIR_NM, np.array(list(places_nm.values())), context.protocol
    )
    step = FlipForAll(id=FLIP_STEP_ID, duration_s=0.0)
    accepted, detail, constellation = flip_for_all._decide_by_images(step, context, search)
    assert accepted is begins and says in detail
    assert warned == [f"targets: {search.detail}"]
    found = search.found(constellation, detail)
    assert (found.in_plane_deg is not None) is certain
    if certain:
        for name, expected_nm in places_nm.items():
            np.testing.assert_allclose(found.places_nm[name], [expected_nm], atol=1.0)
