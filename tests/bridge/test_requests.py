"""Requests: each id acts once, wrong arguments do not reach the hardware, errors keep types."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import pytest

from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.wire_messages import LeaseGrant
from controller.hardware.interface import (
    AcquisitionError,
    ConnectionLostError,
    MicroscopeError,
    OutOfLimitsError,
    ValvesClosedError,
)
from controller.hardware.limits import SessionLimits
from controller.model.stage import StageLimits, StagePosition
from tests.bridge.peer import Peer
from tests.bridge.relay import Relay
from tests.bridge.rig import SCAN, Rig, open_rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with open_rig() as rig:
        yield rig


@pytest.fixture
def microscope(rig: Rig) -> Iterator[RemoteMicroscope]:
    with rig.client() as microscope:
        yield microscope


def test_repeated_request_acts_once(rig: Rig, microscope: RemoteMicroscope) -> None:
    first = microscope.acquire("repeated", SCAN)
    assert microscope.acquire("repeated", SCAN).info == first.info
    assert len(rig.actions("acquire repeated")) == 1


def test_requests_repeated_at_the_same_time_act_once(
    rig: Rig, microscope: RemoteMicroscope
) -> None:
    with ThreadPoolExecutor(4) as threads:
        frames = list(threads.map(lambda _: microscope.acquire("twins", SCAN), range(4)))
    assert len({frame.info for frame in frames}) == 1
    assert len(rig.actions("acquire twins")) == 1


def test_reply_lost_after_the_action(rig: Rig) -> None:
    with (
        Relay(rig.address, rig.folder / "lossy.sock") as relay,
        rig.client(address=relay.address) as microscope,
    ):
        relay.replies_to_lose = 1
        with pytest.raises(ConnectionLostError):
            microscope.acquire("unheard", SCAN)
        assert microscope.acquire("unheard", SCAN).info.request_id == "unheard"
    assert len(rig.actions("acquire unheard")) == 1


def test_an_id_belongs_to_one_action(rig: Rig, microscope: RemoteMicroscope) -> None:
    microscope.move_stage("ambiguous", StagePosition(alpha_deg=2))
    with pytest.raises(MicroscopeError, match="new id"):
        microscope.acquire("ambiguous", SCAN)
    assert rig.actions("acquire ambiguous") == []


def test_a_repeated_request_id_raises_the_first_error_again() -> None:
    with open_rig(valves_open=False) as rig, rig.client() as microscope:
        for _ in range(2):
            with pytest.raises(ValvesClosedError, match="open them by hand"):
                microscope.acquire("closed", SCAN)
        assert rig.actions("acquire") == []


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("mistake", "ZeroDivisionError: a driver's own mistake"),
        ("disk full", "on the microscope PC: No space left on device"),
        ("file gone", "on the microscope PC: state.json: No such file or directory"),
    ],
)
def test_an_unexpected_driver_error_is_one_line(
    error: Literal["mistake", "disk full", "file gone"], line: str
) -> None:
    with open_rig(driver_error=error) as rig, rig.client() as microscope:
        with pytest.raises(MicroscopeError) as caught:
            microscope.set_current("c", 50.0)
        assert str(caught.value) == line
        assert microscope.status().beam_blanked


def action(kind: str, arguments: str) -> str:
    """Return a request as text, with arguments that our client would refuse."""
    return (
        f'{{"kind": "perform", "token": "TOKEN", "request_id": "bad", '
        f'"action": {{"kind": "{kind}", {arguments}}}}}'
    )


SCAN_JSON = '{"width_px": 96, "height_px": 64, "pixel_nm": 1.5, "dwell_us": %s}'


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param(action("move_stage", '"target": {"alpha_deg": NaN}'), id="NaN"),
        pytest.param(action("move_stage", '"target": {"x_nm": Infinity}'), id="infinity"),
        pytest.param(action("move_stage", '"target": {"x_nm": 1e999}'), id="overflow"),
        pytest.param(action("move_stage", '"target": {"alpha_deg": "12"}'), id="text for a number"),
        pytest.param(action("move_stage", '"target": {"alpha_deg": true}'), id="bool for a number"),
        pytest.param(action("move_stage", '"target": {"alpha_deg": [1]}'), id="list for a number"),
        pytest.param(action("move_stage", '"target": {"beta_deg": 1.0}'), id="unknown axis"),
        pytest.param(action("move_stage", '"target": null'), id="no target"),
        pytest.param(action("set_current", '"current_pA": -1.0'), id="negative current"),
        pytest.param(action("acquire", f'"scan": {SCAN_JSON % "0"}'), id="no dwell time"),
        pytest.param(
            action("acquire", f'"scan": {SCAN_JSON % 1.0}'.replace("96", "1e6")), id="huge frame"
        ),
        pytest.param(
            action("acquire_tilting", f'"scan": {SCAN_JSON % 1.0}, "to_alpha_deg": NaN'),
            id="motion to nowhere",
        ),
        pytest.param(
            action("acquire_tilting", f'"scan": {SCAN_JSON % 1.0}, "to_alpha_deg": 81.0'),
            id="motion out of reach",
        ),
        pytest.param(
            action("illuminate", '"duration_s": -1, "field_nm": 5'), id="negative duration"
        ),
        pytest.param(action("simulate_operator", '"action": "sideways"'), id="unknown mistake"),
        pytest.param(action("open_valves", '"now": true'), id="unknown action"),
        pytest.param(action("wait", '"duration_s": 1').replace("bad", ""), id="empty id"),
        pytest.param(action("wait", '"duration_s": 1').replace("bad", "x" * 999), id="endless id"),
        pytest.param('{"kind": "status", "extra": 1}', id="unknown key"),
        pytest.param("[" * 5000, id="deep nesting"),
        pytest.param("not json", id="not JSON"),
        pytest.param("", id="nothing"),
    ],
)
def test_wrong_arguments_do_not_reach_the_hardware(rig: Rig, request_text: str) -> None:
    with Peer(rig.address) as peer:
        peer.greet()
        granted = peer.call('{"kind": "take_lease", "holder": "careless"}')
        token = LeaseGrant.model_validate(granted["value"]).token
        before = rig.actions()
        reply = peer.call(request_text.replace("TOKEN", token))
        after = rig.actions()
        peer.call(json.dumps({"kind": "release_lease", "token": token}))
    assert (reply["kind"], reply["code"]) == ("failed", "out-of-limits")
    assert "\n" not in reply["message"]
    assert after == before


@dataclass(frozen=True)
class Reach:
    """A target, the stage limits of the session, and whether the move is allowed."""

    target: StagePosition
    limits: StageLimits | None
    allowed: bool


NARROW = StageLimits(alpha_min_deg=-60, alpha_max_deg=60, xy_max_nm=1000, z_max_nm=500)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Reach(StagePosition(alpha_deg=74), None, True), id="the column's own"),
        pytest.param(Reach(StagePosition(alpha_deg=80.1), None, False), id="beyond the column"),
        pytest.param(Reach(StagePosition(alpha_deg=60), NARROW, True), id="at the limit"),
        pytest.param(Reach(StagePosition(alpha_deg=-60.1), NARROW, False), id="beyond the tilt"),
        pytest.param(Reach(StagePosition(y_nm=1001), NARROW, False), id="beyond y"),
        pytest.param(Reach(StagePosition(z_nm=-501), NARROW, False), id="beyond z"),
    ],
)
def test_the_bridge_applies_the_tighter_limits(rig: Rig, case: Reach) -> None:
    with rig.client(limits=SessionLimits(stage=case.limits)) as microscope:
        before = len(rig.actions("move"))
        if case.allowed:
            assert microscope.move_stage(f"reach {case}"[:100], case.target) == case.target
        else:
            with pytest.raises(OutOfLimitsError, match="outside"):
                microscope.move_stage("too far", case.target)
        assert len(rig.actions("move")) == before + case.allowed


FRAME_DOSE = SCAN.dose_e_per_A2(50.0)


@pytest.mark.parametrize(
    ("budget", "spent", "frames"),
    [
        pytest.param(2.5, 0.0, 2, id="budget for two"),
        pytest.param(2.5, 1.0, 1, id="one spent before"),
        pytest.param(0.5, 0.0, 0, id="budget for none"),
        pytest.param(None, 9.0, 3, id="no budget"),
    ],
)
def test_no_exposure_begins_beyond_the_dose_budget(
    budget: float | None, spent: float, frames: int
) -> None:
    limits = SessionLimits(
        dose_budget_e_per_A2=None if budget is None else budget * FRAME_DOSE,
        dose_spent_e_per_A2=spent * FRAME_DOSE,
    )
    with open_rig() as rig, rig.client(limits=limits) as microscope:
        for index in range(frames):
            microscope.acquire(f"f{index}", SCAN)
        if budget is not None:
            with pytest.raises(OutOfLimitsError, match="refused"):
                microscope.acquire("one too many", SCAN)
            with pytest.raises(OutOfLimitsError, match="refused"):
                microscope.illuminate("shower", 60.0, 100.0)
        assert len(rig.actions("acquire")) == frames
        assert rig.actions("illuminate") == []
        report = microscope.report()
        assert report.dose_spent_e_per_A2 == pytest.approx((spent + frames) * FRAME_DOSE)


@pytest.mark.parametrize(
    ("valves_open", "charged"),
    [
        pytest.param(True, 1, id="may have exposed: charged"),
        pytest.param(False, 0, id="certainly not exposed: not charged"),
    ],
)
def test_a_failed_exposure_is_charged_if_it_may_have_happened(
    valves_open: bool, charged: int
) -> None:
    with open_rig(valves_open=valves_open, exposure_s=600) as rig, rig.client() as microscope:
        with ThreadPoolExecutor(1) as threads:
            failing = threads.submit(microscope.acquire, "failing", SCAN)
            if valves_open:
                while not rig.actions("acquire failing"):
                    pass
                microscope.make_safe("for a test")
            with pytest.raises(MicroscopeError):
                failing.result()
        dose = microscope.report().dose_spent_e_per_A2
        assert dose == pytest.approx(charged * FRAME_DOSE)


@pytest.mark.parametrize(
    ("damaged", "arrives"),
    [
        pytest.param(0, True, id="clean"),
        pytest.param(1, True, id="damaged once"),
        pytest.param(2, True, id="damaged twice"),
        pytest.param(99, False, id="always damaged"),
    ],
)
def test_a_damaged_frame_is_read_again_without_a_new_dose(
    rig: Rig, damaged: int, arrives: bool
) -> None:
    request_id = f"damaged {damaged}"
    with Relay(rig.address, rig.folder / f"noisy{damaged}.sock") as relay:
        with rig.client(address=relay.address) as microscope:
            relay.frames_to_damage = damaged
            if arrives:
                frame = microscope.acquire(request_id, SCAN)
            else:
                with pytest.raises(AcquisitionError, match="damaged"):
                    microscope.acquire(request_id, SCAN)
                relay.frames_to_damage = 0
                frame = microscope.fetch_frame(request_id)
        assert frame.info.request_id == request_id
        assert zlib.crc32(frame.pixels.tobytes()) == frame.info.crc32
    assert len(rig.actions(f"acquire {request_id}")) == 1


@pytest.mark.parametrize("odd", ["shape", "dtype", "record"])
def test_a_frame_that_differs_from_the_request_is_refused(odd: str) -> None:
    with open_rig(wrong_frame=odd) as rig, rig.client() as microscope:
        for _ in range(2):
            with pytest.raises(AcquisitionError):
                microscope.acquire("odd", SCAN)
        assert len(rig.actions("acquire")) == 1
        assert microscope.report().dose_spent_e_per_A2 == pytest.approx(FRAME_DOSE)


def test_a_frame_leaves_no_bytes_for_the_next_call(rig: Rig, microscope: RemoteMicroscope) -> None:
    microscope.acquire("kept", SCAN)
    with rig.client(None) as other:
        with pytest.raises(AcquisitionError):
            other.fetch_frame("never taken")
        assert other.status().beam_blanked
        assert other.fetch_frame("kept").info.request_id == "kept"
        assert other.describe() == microscope.describe()
