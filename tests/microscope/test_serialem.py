"""Adapter for columns run by SerialEM, on a stand-in of its Python module."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.common.errors import BridgeError, UsageError
from controller.hardware.adapters.serialem import connect
from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    BeamLostError,
    CurrentNotSetError,
    Microscope,
    MicroscopeError,
    NotSupportedError,
    OutOfLimitsError,
    StageError,
    ValvesClosedError,
)
from controller.model.stage import StagePosition
from controller.rehearsal.load_microscope import load_microscope
from tests.microscope.contract import MicroscopeContract, new_id
from tests.support.adapters import SCAN, bridged, verified
from tests.support.columns import serialem
from tests.support.columns.spoil import Spoil, spoil
from tests.support.virtual_clock import VirtualClock

NAME = "controller.hardware.adapters.serialem:connect"
SETTINGS: dict[str, Any] = {
    "camera": 2,
    "detector": 1,
    "convergence_mrad": 9.0,
    "inner_collection_mrad": 62.0,
    "outer_collection_mrad": 200.0,
    "alpha_limit_deg": 75.0,
    "full_px": 512,
    "pixel_type": "int16",
    "fields": [{"magnification": mag, "field_nm": 40e6 / mag} for mag in (20e3, 40e3, 80e3)],
}
TOML = """
camera = 2
detector = 1
convergence_mrad = 9.0
inner_collection_mrad = 62.0
outer_collection_mrad = 200.0
alpha_limit_deg = 75.0
full_px = 512
pixel_type = "int16"
screen_settle_s = 0.05
fields = [{ magnification = 80000, field_nm = 500.0 }]
"""


@pytest.fixture
def sem(monkeypatch: pytest.MonkeyPatch) -> serialem.Column:
    """Return a new stand-in column behind SerialEM."""
    monkeypatch.setitem(sys.modules, "serialem", serialem)
    return serialem.new_column()


@pytest.fixture
def adapter(sem: serialem.Column) -> Iterator[Microscope]:
    """Yield the adapter in virtual time, with its probe current verified."""
    with verified(sem, connect, SETTINGS) as microscope:
        yield microscope


@pytest.fixture(scope="module")
def adapter_bridged(private_folder: Path) -> Iterator[Microscope]:
    """Yield the adapter, started by name in a bridge process, in real time."""
    with bridged(private_folder, NAME, TOML) as microscope:
        yield microscope


class TestSerialem(MicroscopeContract):
    """The adapter in this process."""

    fixture_name = "adapter"
    scan = SCAN


class TestSerialemThroughTheBridge(MicroscopeContract):
    """The adapter behind a bridge, as in use."""

    fixture_name = "adapter_bridged"
    scan = SCAN


def test_it_is_loaded_by_name_and_disconnects(sem: serialem.Column) -> None:
    microscope = load_microscope(NAME, SETTINGS, state_path=None, real_time=False)
    description = microscope.describe()
    assert sem.connected == ("127.0.0.1", 48888)
    assert (sem.camera, sem.detector, sem.blanked) == (2, ("R", 1), 1)
    assert sem.did("no message box")
    assert (description.voltage_kV, description.convergence_mrad) == (200.0, 9.0)
    assert description.stage_limits.alpha_min_deg == -75.0
    microscope.close()
    assert sem.connected is None


@pytest.mark.parametrize("missing", ["camera", "detector", "alpha_limit_deg", "fields"])
def test_missing_settings_are_named(sem: serialem.Column, missing: str) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != missing}
    with pytest.raises(UsageError, match=missing):
        load_microscope(NAME, settings, state_path=None, real_time=False)


def test_missing_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serialem", None)
    with pytest.raises(UsageError, match="serialem"):
        load_microscope(NAME, SETTINGS, state_path=None, real_time=False)


def test_unreachable_serialem_is_named(sem: serialem.Column) -> None:
    sem.reachable = False
    with pytest.raises(BridgeError, match=r"127\.0\.0\.1:48888"):
        load_microscope(NAME, SETTINGS, state_path=None, real_time=False)


@pytest.mark.parametrize(
    ("senses", "target", "xyz_um", "tilt_deg"),
    [
        pytest.param({}, StagePosition(alpha_deg=30), (0, 0, 0), 30, id="tilt"),
        pytest.param({}, StagePosition(x_nm=1500), (0, -1.5, 0), 0, id="x-is-across-the-holder"),
        pytest.param({}, StagePosition(y_nm=1500), (1.5, 0, 0), 0, id="y-is-the-holder"),
        pytest.param({}, StagePosition(z_nm=-20), (0, 0, -0.02), 0, id="z"),
        pytest.param(
            {"tilt_sense": -1}, StagePosition(alpha_deg=30), (0, 0, 0), -30, id="tilt-sense"
        ),
        pytest.param({"z_sense": -1}, StagePosition(z_nm=-20), (0, 0, 0.02), 0, id="z-sense"),
    ],
)
def test_stage_is_moved_in_micrometres_and_degrees(
    sem: serialem.Column,
    senses: dict[str, int],
    target: StagePosition,
    xyz_um: tuple[float, float, float],
    tilt_deg: float,
) -> None:
    microscope = connect({**SETTINGS, **senses}, None, VirtualClock())
    reached = microscope.move_stage(new_id(), target)
    microscope.close()
    assert sem.xyz_um == pytest.approx(xyz_um, abs=1e-9)
    assert sem.tilt_deg == pytest.approx(tilt_deg)
    assert len(sem.did("MoveStageTo") + sem.did("TiltTo")) == 1  # others are at their target
    assert reached.model_dump() == pytest.approx(target.model_dump(), abs=1e-6)


@pytest.mark.parametrize(
    ("break_it", "error", "words"),
    [
        pytest.param(spoil(valves=0), ValvesClosedError, "valves", id="valves"),
        pytest.param(spoil(valves=-1), ValvesClosedError, "valves", id="valves-unclear"),
        pytest.param(spoil(high_voltage_kV=0.0), BeamLostError, "high tension", id="no-tension"),
        pytest.param(
            spoil(refuses={"frame": "STEM is off"}), AcquisitionError, "STEM is off", id="no-frame"
        ),
        pytest.param(
            spoil(refuses={"mag": "no such mag"}), AcquisitionError, "no such mag", id="no-mag"
        ),
        pytest.param(spoil(pixel_error=1.2), AcquisitionError, "pixels of 4.688", id="other-pixel"),
        pytest.param(spoil(full_px=1024), AcquisitionError, "reports pixels of", id="other-size"),
        pytest.param(spoil(connected=None), MicroscopeError, "Not connected", id="connection-lost"),
    ],
)
def test_impossible_exposure_raises_its_error(
    adapter: Microscope, sem: serialem.Column, break_it: Spoil, error: type[Exception], words: str
) -> None:
    break_it(sem)
    with pytest.raises(error, match=words):
        adapter.acquire(new_id(), SCAN)
    assert sem.blanked
    sem.connected = ("127.0.0.1", 48888)  # so that closing can make it safe


def test_stage_that_refuses_is_a_stage_error(adapter: Microscope, sem: serialem.Column) -> None:
    sem.refuses = {"TiltTo": "tilt is outside the limits"}
    with pytest.raises(StageError, match="outside the limits"):
        adapter.move_stage(new_id(), StagePosition(alpha_deg=10.0))


def test_frame_has_the_requested_scan(adapter: Microscope, sem: serialem.Column) -> None:
    first = adapter.acquire(new_id(), SCAN)
    before = first.pixels.copy()
    adapter.acquire(new_id(), SCAN)
    np.testing.assert_array_equal(first.pixels, before)  # SerialEM reuses its buffer
    taken = sem.frames[0]
    assert (taken["area"], taken["binning"], taken["mag"]) == ("F", 4, 80e3)
    assert taken["exposure_s"] == pytest.approx(128 * 128 * 2e-6)
    assert taken["lit"]
    assert first.pixels.dtype == np.int16


@pytest.mark.parametrize(
    ("probe_nA", "ok"),
    [
        pytest.param(0.070, True, id="as-wanted"),
        pytest.param(0.055, False, id="too-little"),
        pytest.param(0.0, False, id="no-beam"),
    ],
)
def test_current_is_verified_on_the_screen(
    adapter: Microscope, sem: serialem.Column, probe_nA: float, ok: bool
) -> None:
    sem.probe_nA = probe_nA
    if ok:
        assert adapter.set_current(new_id(), 70.0) == pytest.approx(70.0)
    else:
        with pytest.raises(CurrentNotSetError, match="set 70 pA within 10%"):
            adapter.set_current(new_id(), 70.0)
    commands = [
        what for what, _ in sem.log if what in ("screen down", "unblank", "blank", "screen up")
    ]
    assert commands == ["screen down", "unblank", "blank", "screen up"]


def test_screen_is_lifted_before_an_exposure(adapter: Microscope, sem: serialem.Column) -> None:
    sem.screen = 1  # the operator looked at the beam
    adapter.acquire(new_id(), SCAN)
    assert [frame["screen"] for frame in sem.frames] == [0]


def test_other_pixel_sizes_are_refused_with_those_on_offer(
    adapter: Microscope, sem: serialem.Column
) -> None:
    with pytest.raises(OutOfLimitsError, match=r"offers 3\.906, 7\.812, 15\.6"):
        adapter.acquire(new_id(), SCAN.model_copy(update={"pixel_nm": 3.0}))
    assert not sem.did("unblank")


def test_status_works_during_a_frame_and_blanking_waits_for_its_end(
    adapter: Microscope, sem: serialem.Column
) -> None:
    seen = []
    hurry = threading.Thread(target=lambda: adapter.make_safe("a test"))

    def emergency(what: str) -> None:
        hurry.start()
        hurry.join(1.0)  # by now it waits for the only connection
        seen.append((what, adapter.status().busy, hurry.is_alive()))

    sem.during = emergency
    with pytest.raises(AbortedError):
        adapter.illuminate(new_id(), 12.0, 500.0)
    hurry.join(60.0)
    assert seen == [("frame", True, True)]  # no further frame was started
    assert sem.blanked


def test_stage_cannot_be_stopped(adapter: Microscope) -> None:
    with pytest.raises(NotSupportedError, match="cannot stop"):
        adapter.stop_stage()


def test_all_commands_run_on_one_thread(adapter: Microscope, sem: serialem.Column) -> None:
    adapter.move_stage(new_id(), StagePosition(alpha_deg=5.0, x_nm=100.0))
    adapter.acquire(new_id(), SCAN)
    adapter.status()
    adapter.blank()
    assert len({thread for _, thread in sem.log}) == 1
