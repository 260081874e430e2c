"""The adapter for Thermo Fisher columns, against a stand-in of TEM Scripting."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.bridge.launch import start_bridge
from controller.errors import BridgeError, UsageError
from controller.microscope.adapters.actions import CurrentNotSetError
from controller.microscope.adapters.thermo import connect
from controller.microscope.interface import (
    AbortedError,
    AcquisitionError,
    BeamLostError,
    Microscope,
    MicroscopeError,
    NotSupportedError,
    OutOfLimitsError,
    ScanSettings,
    StageError,
    StagePosition,
    StageState,
    VacuumError,
    ValvesClosedError,
)
from controller.microscope.loading import load_microscope
from tests.microscope.contract import MicroscopeContract, new_id
from tests.support.columns import temscript
from tests.support.virtual_clock import VirtualClock

NAME = "controller.microscope.adapters.thermo:connect"
STAND_INS = Path(temscript.__file__).parent
SETTINGS: dict[str, Any] = {
    "inner_collection_mrad": 62.0,
    "outer_collection_mrad": 200.0,
    "full_px": 512,
    "fields": [{"magnification": step, "field_nm": 40e6 / step} for step in temscript.STEPS],
}
TOML = """
inner_collection_mrad = 62.0
outer_collection_mrad = 200.0
full_px = 512
screen_settle_s = 0.05
fields = [{ magnification = 80000, field_nm = 500.0 }]
"""
SCAN = ScanSettings(width_px=128, height_px=128, pixel_nm=500 / 128, dwell_us=2.0)
PROBE_PA = 65.0
"""Within a tenth of both currents the contract asks for: nobody turns a knob between its cases."""


@pytest.fixture
def tem(monkeypatch: pytest.MonkeyPatch) -> temscript.Column:
    """A fresh column behind temscript."""
    monkeypatch.setitem(sys.modules, "temscript", temscript)
    return temscript.new_column()


@pytest.fixture
def thermo(tem: temscript.Column) -> Iterator[Microscope]:
    """The adapter, in virtual time, its current verified."""
    clock = VirtualClock()
    tem.sleep = clock.sleep
    column = connect(SETTINGS, None, clock)
    column.set_current(new_id(), PROBE_PA)
    tem.log.clear()
    yield column
    tem.refuses.clear()
    column.close()


@pytest.fixture(scope="module")
def thermo_bridged(private_folder: Path) -> Iterator[Microscope]:
    """The adapter by its name, in a bridge's process, in real time."""
    settings = private_folder / "thermo.toml"
    settings.write_text(TOML)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(STAND_INS))
        with start_bridge(
            private_folder / "b", microscope=NAME, settings=settings, lease_s=10.0
        ) as bridge:
            microscope = bridge.connect("the contract")
            yield microscope
            microscope.close()


class TestThermo(MicroscopeContract):
    """The adapter in this process."""

    fixture_name = "thermo"
    scan = SCAN


class TestThermoThroughTheBridge(MicroscopeContract):
    """The adapter as it is used."""

    fixture_name = "thermo_bridged"
    scan = SCAN


def test_it_is_loaded_by_name(tem: temscript.Column) -> None:
    column = load_microscope(NAME, SETTINGS, state_path=None, real_time=False)
    description = column.describe()
    column.close()
    assert description.name == "Thermo Fisher Titan"
    assert (description.simulated, description.sets_current) == (False, False)
    assert description.voltage_kV == pytest.approx(300.0)
    assert description.convergence_mrad == pytest.approx(8.1)
    limits = description.stage_limits
    assert (limits.alpha_min_deg, limits.alpha_max_deg) == pytest.approx((-79.0, 79.0))
    assert (limits.xy_max_nm, limits.z_max_nm) == pytest.approx((0.9e6, 3.75e5))
    assert description.frame_sizes_px == ((512, 512), (256, 256), (128, 128), (64, 64))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"full_px": None}, "full_px", id="no-number"),
        pytest.param({"fields": []}, "fields", id="no-fields"),
        pytest.param({"detektor": "HAADF"}, "detektor", id="misspelt"),
        pytest.param({"tilt_sense": 0}, "tilt_sense", id="no-sense"),
    ],
)
def test_wrong_settings_are_named(
    tem: temscript.Column, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        load_microscope(NAME, {**SETTINGS, **settings}, state_path=None, real_time=False)


def test_without_temscript_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "temscript", None)
    with pytest.raises(UsageError, match="temscript"):
        load_microscope(NAME, SETTINGS, state_path=None, real_time=False)


def test_without_a_column_it_says_so(tem: temscript.Column) -> None:
    tem.reachable = False
    with pytest.raises(BridgeError, match=r"0x80040154.*microscope's own PC"):
        load_microscope(NAME, SETTINGS, state_path=None, real_time=False)


@pytest.mark.parametrize(
    ("senses", "target", "position"),
    [
        pytest.param({}, StagePosition(alpha_deg=30), {"a": math.pi / 6}, id="tilt"),
        pytest.param({}, StagePosition(x_nm=1500), {"y": -1.5e-6}, id="x-is-across-the-holder"),
        pytest.param({}, StagePosition(y_nm=1500), {"x": 1.5e-6}, id="y-is-the-holder"),
        pytest.param({}, StagePosition(z_nm=-20), {"z": -2e-8}, id="z"),
        pytest.param(
            {"tilt_sense": -1}, StagePosition(alpha_deg=30), {"a": -math.pi / 6}, id="tilt-sense"
        ),
        pytest.param({"z_sense": -1}, StagePosition(z_nm=-20), {"z": 2e-8}, id="z-sense"),
    ],
)
def test_stage_is_told_metres_and_radians(
    tem: temscript.Column,
    senses: dict[str, int],
    target: StagePosition,
    position: dict[str, float],
) -> None:
    column = connect({**SETTINGS, **senses}, None, VirtualClock())
    reached = column.move_stage(new_id(), target)
    column.close()
    assert tem.position == pytest.approx({**dict.fromkeys("xyzab", 0.0), **position}, abs=1e-12)
    assert tem.did("GoTo " + "".join(position))  # no other axis is driven
    assert reached.model_dump() == pytest.approx(target.model_dump(), abs=1e-6)


def test_holder_narrows_the_tilts(tem: temscript.Column) -> None:
    column = connect({**SETTINGS, "alpha_limit_deg": 70.0}, None)
    with pytest.raises(OutOfLimitsError, match="70"):
        column.move_stage(new_id(), StagePosition(alpha_deg=-71.0))
    column.close()
    assert tem.position["a"] == 0.0


def test_move_ends_when_the_stage_is_at_rest(thermo: Microscope, tem: temscript.Column) -> None:
    tem.rest_after_looks = 40
    started_s = thermo.status().time_s
    thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))
    assert tem.stage_status == temscript.READY
    assert thermo.status().time_s - started_s > 1.0


def test_stage_that_falls_short_is_reported_where_it_is(
    thermo: Microscope, tem: temscript.Column
) -> None:
    tem.falls_short_rad = math.radians(0.7)
    reached = thermo.move_stage(new_id(), StagePosition(alpha_deg=74.0))
    assert reached.alpha_deg == pytest.approx(73.3)


Spoil = Callable[[temscript.Column], None]


def _set(**values: Any) -> Spoil:
    def spoil(tem: temscript.Column) -> None:
        for name, value in values.items():
            assert hasattr(tem, name)
            setattr(tem, name, value)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        pytest.param(_set(stage_status=1), StageError, "not ready", id="disabled"),
        pytest.param(_set(stage_status=2), StageError, "not ready", id="not-ready"),
        pytest.param(_set(rest_after_looks=10**6), StageError, "not at rest", id="stuck"),
        pytest.param(
            _set(refuses={"GoTo a": temscript.E_OUT_OF_RANGE}),
            StageError,
            r"out of range \(0x8004FFFD\)",
            id="refused",
        ),
    ],
)
def test_stage_that_will_not_move(
    thermo: Microscope, tem: temscript.Column, spoil: Spoil, error: type[Exception], words: str
) -> None:
    spoil(tem)
    with pytest.raises(error, match=words):
        thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        pytest.param(_set(valves_open=False), ValvesClosedError, "valves", id="valves"),
        pytest.param(_set(vacuum=4), VacuumError, "vacuum", id="vacuum"),
        pytest.param(_set(ht_state=2), BeamLostError, "high tension", id="high-tension"),
        pytest.param(_set(mode=temscript.TEM), NotSupportedError, "STEM mode", id="tem-mode"),
        pytest.param(_set(detectors=["BF"]), NotSupportedError, "but BF", id="detector-out"),
        pytest.param(
            _set(refuses={"frame": temscript.E_NOT_OK}), AcquisitionError, "not OK", id="no-frame"
        ),
        pytest.param(_set(full_px=1024), AcquisitionError, r"\(256, 256\)", id="other-size"),
        pytest.param(_set(offset=-5), AcquisitionError, "brightness", id="below-0"),
        pytest.param(_set(offset=70_000), AcquisitionError, "do not fit", id="beyond-16-bit"),
    ],
)
def test_exposure_that_cannot_be(
    thermo: Microscope, tem: temscript.Column, spoil: Spoil, error: type[Exception], words: str
) -> None:
    spoil(tem)
    with pytest.raises(error, match=words):
        thermo.acquire(new_id(), SCAN)
    assert tem.blanked
    if not issubclass(error, AcquisitionError):
        assert not tem.did("unblank")
    assert not tem.did("valves")


def test_closed_valves_stay_closed_whatever_is_asked(
    thermo: Microscope, tem: temscript.Column
) -> None:
    tem.valves_open = False
    for ask in (
        lambda: thermo.acquire(new_id(), SCAN),
        lambda: thermo.illuminate(new_id(), 2.0, 500.0),
        lambda: thermo.set_current(new_id(), PROBE_PA),
    ):
        with pytest.raises(ValvesClosedError):
            ask()
    assert not thermo.status().valves_open
    assert not tem.did("valves") + tem.did("unblank")


@pytest.mark.parametrize(
    ("areas", "side_px", "pixel_nm", "expected"),
    [
        pytest.param(["FULL"], 512, 500 / 512, (0, 1, 80e3), id="full"),
        pytest.param(["FULL"], 128, 250 / 128, (0, 4, 160e3), id="binned"),
        pytest.param(["FULL"], 128, 252 / 128, (0, 4, 160e3), id="near-enough"),
        pytest.param(["FULL", "HALF"], 256, 500 / 256, (0, 2, 80e3), id="full-comes-first"),
        pytest.param(["HALF"], 256, 500 / 256, (1, 1, 40e3), id="half-is-full-at-twice"),
        pytest.param(["QUARTER"], 128, 500 / 128, (2, 1, 20e3), id="quarter"),
    ],
)
def test_scan_is_one_the_column_offers(
    tem: temscript.Column,
    areas: list[str],
    side_px: int,
    pixel_nm: float,
    expected: tuple[int, int, float],
) -> None:
    column = connect({**SETTINGS, "areas": areas}, None, VirtualClock())
    column.set_current(new_id(), PROBE_PA)
    scan = ScanSettings(width_px=side_px, height_px=side_px, pixel_nm=pixel_nm, dwell_us=3.0)
    frame = column.acquire(new_id(), scan)
    column.close()
    (taken,) = tem.frames
    assert (taken["ImageSize"], taken["Binning"], taken["magnification"]) == expected
    assert taken["DwellTime"] == pytest.approx(3e-6)
    assert taken["lit"]
    assert frame.pixels.dtype == np.uint16
    assert tem.active == ["HAADF"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"width_px": 96}, "choose from 512 x 512, 256 x 256", id="size"),
        pytest.param({"pixel_nm": 3.0}, "offers 0.9766, 1.953, 3.906, 7.812, 15.6", id="pixel"),
        pytest.param({"dwell_us": 0.2}, "0.5 us at least", id="dwell-short"),
        pytest.param({"dwell_us": 2000.0}, "makes it 1000 us", id="dwell-clipped"),
    ],
)
def test_other_scans_are_refused_with_what_would_do(
    thermo: Microscope, tem: temscript.Column, change: dict[str, float], words: str
) -> None:
    with pytest.raises(OutOfLimitsError, match=words):
        thermo.acquire(new_id(), SCAN.model_copy(update=change))
    assert not tem.did("unblank")


def test_rows_run_along_y(tem: temscript.Column) -> None:
    images = []
    for sense in (1, -1):
        column = connect({**SETTINGS, "rows_sense": sense}, None, VirtualClock())
        column.set_current(new_id(), PROBE_PA)
        tem.frames.clear()
        images.append(column.acquire(new_id(), SCAN).pixels)
        column.close()
    np.testing.assert_array_equal(images[0][::-1], images[1])


@pytest.mark.parametrize(
    ("probe_A", "wanted_pA", "ok"),
    [
        pytest.param(70e-12, 70.0, True, id="as-wanted"),
        pytest.param(64e-12, 70.0, True, id="within-a-tenth"),
        pytest.param(55e-12, 70.0, False, id="too-little"),
        pytest.param(90e-12, 70.0, False, id="too-much"),
        pytest.param(-1e-13, 70.0, False, id="no-beam"),
    ],
)
def test_current_is_verified_on_the_screen(
    thermo: Microscope, tem: temscript.Column, probe_A: float, wanted_pA: float, ok: bool
) -> None:
    tem.probe_A = probe_A
    if ok:
        assert thermo.set_current(new_id(), wanted_pA) == pytest.approx(probe_A * 1e12)
    else:
        with pytest.raises(CurrentNotSetError, match=r"set 70 pA within 10%"):
            thermo.set_current(new_id(), wanted_pA)
    assert thermo.status().current_pA == pytest.approx(max(0.0, probe_A * 1e12))
    assert [what for what, _ in tem.log] == [
        "screen down",
        "unblank",
        "blank",
        "screen up",
    ]


def test_screen_is_lifted_before_an_exposure(thermo: Microscope, tem: temscript.Column) -> None:
    tem.screen = tem.screen_target = temscript.DOWN  # the operator looked at the beam
    thermo.acquire(new_id(), SCAN)
    assert [frame["screen"] for frame in tem.frames] == [temscript.UP]


def test_nothing_is_exposed_before_the_current_is_known(tem: temscript.Column) -> None:
    column = connect(SETTINGS, None, VirtualClock())
    with pytest.raises(OutOfLimitsError, match="verify it first"):
        column.acquire(new_id(), SCAN)
    column.close()
    assert not tem.did("unblank")


def test_shower_is_cut_into_frames_blanked_between(
    thermo: Microscope, tem: temscript.Column
) -> None:
    started_s = thermo.status().time_s
    thermo.illuminate(new_id(), 12.0, 1000.0)
    assert thermo.status().time_s - started_s == pytest.approx(12.0, abs=1.0)
    assert [frame["magnification"] for frame in tem.frames] == [40e3] * 3
    assert [what for what, _ in tem.log] == ["unblank", "frame", "blank"] * 3


def test_shower_without_a_field_for_it_is_refused(
    thermo: Microscope, tem: temscript.Column
) -> None:
    with pytest.raises(OutOfLimitsError, match="offers"):
        thermo.illuminate(new_id(), 12.0, 700.0)
    assert not tem.frames


@pytest.mark.parametrize("stop", ["blank", "make_safe"])
def test_blanking_is_never_behind_a_frame(
    thermo: Microscope, tem: temscript.Column, stop: str
) -> None:
    seen = []

    def emergency(what: str) -> None:
        {"blank": thermo.blank, "make_safe": lambda: thermo.make_safe("a test")}[stop]()
        status = thermo.status()
        seen.append((what, status.beam_blanked, status.busy))

    tem.during = emergency
    with pytest.raises(AbortedError):
        thermo.illuminate(new_id(), 12.0, 500.0)
    assert seen == [("frame", True, True)]  # and the frames to come were not begun
    assert tem.did("blank")[0].startswith("column-watch")
    assert tem.blanked


def test_move_made_safe_runs_out_unexposed(thermo: Microscope, tem: temscript.Column) -> None:
    states = []

    def emergency(what: str) -> None:
        thermo.make_safe("a test")
        states.append((what, thermo.status().busy))

    tem.during, tem.rest_after_looks = emergency, 20
    with pytest.raises(AbortedError):
        thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))
    assert states == [("move", True)]
    with pytest.raises(NotSupportedError, match="cannot stop"):
        thermo.stop_stage()
    assert not tem.did("unblank")


def test_status_tells_of_a_move(thermo: Microscope, tem: temscript.Column) -> None:
    states = []

    def look(what: str) -> None:
        tem.stage_status = temscript.GOING
        tem.rest_after_looks = 1
        states.append(thermo.status().stage_state)

    tem.during = look
    thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))
    assert states == [StageState.MOVING]


def test_beam_that_cannot_be_blanked_is_an_error(thermo: Microscope, tem: temscript.Column) -> None:
    tem.refuses = {"blank": temscript.E_NOT_OK}
    with pytest.raises(MicroscopeError, match="blanking the beam: not OK"):
        thermo.acquire(new_id(), SCAN)


def test_what_works_and_what_watches_keep_to_their_threads(
    thermo: Microscope, tem: temscript.Column
) -> None:
    thermo.move_stage(new_id(), StagePosition(alpha_deg=5.0))
    thermo.acquire(new_id(), SCAN)
    assert {thread.rsplit("_", 1)[0] for _, thread in tem.log} == {"column-work"}


def test_adapter_needs_only_what_a_lean_pc_has() -> None:
    allowed = {"controller", "numpy", "pydantic", "pydantic_core", "annotated_types"}
    allowed |= {"typing_extensions", "typing_inspection"}
    code = (
        f"import {NAME.partition(':')[0]}, sys;"
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    loaded = {name for name in found.stdout.split() if not name.startswith("_")}
    assert loaded - allowed == set()
