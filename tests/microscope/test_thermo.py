"""Adapter for Thermo Fisher columns, on a stand-in of TEM Scripting."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.common.errors import BridgeError, UsageError
from controller.hardware.adapters.thermo import connect
from controller.hardware.interface import Microscope, OutOfLimitsError, StageError
from controller.model.stage import StagePosition
from controller.rehearsal.load_microscope import load_microscope
from tests.microscope.contract import MicroscopeContract, new_id
from tests.support.adapters import SCAN, bridged
from tests.support.columns import temscript
from tests.support.columns.spoil import Spoil, spoil
from tests.support.thermo_column import SETTINGS
from tests.support.virtual_clock import VirtualClock

NAME = "controller.hardware.adapters.thermo:connect"
TOML = """
inner_collection_mrad = 62.0
outer_collection_mrad = 200.0
full_px = 512
screen_settle_s = 0.05
fields = [{ magnification = 80000, field_nm = 500.0 }]
"""


@pytest.fixture(scope="module")
def thermo_bridged(private_folder: Path) -> Iterator[Microscope]:
    """Yield the adapter, started by name in a bridge process, in real time."""
    with bridged(private_folder, NAME, TOML) as microscope:
        yield microscope


class TestThermo(MicroscopeContract):
    """The adapter in this process."""

    fixture_name = "thermo"
    scan = SCAN


class TestThermoThroughTheBridge(MicroscopeContract):
    """The adapter behind a bridge, as in use."""

    fixture_name = "thermo_bridged"
    scan = SCAN


def test_it_is_loaded_by_name(tem: temscript.Column) -> None:
    microscope = load_microscope(NAME, SETTINGS, state_path=None, real_time=False)
    description = microscope.describe()
    microscope.close()
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


def test_missing_temscript_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "temscript", None)
    with pytest.raises(UsageError, match="temscript"):
        load_microscope(NAME, SETTINGS, state_path=None, real_time=False)


def test_missing_column_is_named(tem: temscript.Column) -> None:
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
def test_stage_is_moved_in_metres_and_radians(
    tem: temscript.Column,
    senses: dict[str, int],
    target: StagePosition,
    position: dict[str, float],
) -> None:
    microscope = connect({**SETTINGS, **senses}, None, VirtualClock())
    reached = microscope.move_stage(new_id(), target)
    microscope.close()
    assert tem.position == pytest.approx({**dict.fromkeys("xyzab", 0.0), **position}, abs=1e-12)
    assert tem.did("GoTo " + "".join(position))  # no other axis is moved
    assert reached.model_dump() == pytest.approx(target.model_dump(), abs=1e-6)


def test_holder_limits_the_tilt_range(tem: temscript.Column) -> None:
    microscope = connect({**SETTINGS, "alpha_limit_deg": 70.0}, None)
    with pytest.raises(OutOfLimitsError, match="70"):
        microscope.move_stage(new_id(), StagePosition(alpha_deg=-71.0))
    microscope.close()
    assert tem.position["a"] == 0.0


def test_move_returns_when_the_stage_is_at_rest(thermo: Microscope, tem: temscript.Column) -> None:
    tem.rest_after_looks = 40
    started_s = thermo.status().time_s
    thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))
    assert tem.stage_status == temscript.READY
    assert thermo.status().time_s - started_s > 1.0


def test_stage_that_falls_short_returns_its_actual_position(
    thermo: Microscope, tem: temscript.Column
) -> None:
    tem.falls_short_rad = math.radians(0.7)
    reached = thermo.move_stage(new_id(), StagePosition(alpha_deg=74.0))
    assert reached.alpha_deg == pytest.approx(73.3)


@pytest.mark.parametrize(
    ("break_it", "error", "words"),
    [
        pytest.param(spoil(stage_status=1), StageError, "not ready", id="disabled"),
        pytest.param(spoil(stage_status=2), StageError, "not ready", id="not-ready"),
        pytest.param(spoil(rest_after_looks=10**6), StageError, "not at rest", id="stuck"),
        pytest.param(
            spoil(refuses={"GoTo a": temscript.E_OUT_OF_RANGE}),
            StageError,
            r"out of range \(0x8004FFFD\)",
            id="refused",
        ),
    ],
)
def test_refused_or_stuck_stage_raises_a_stage_error(
    thermo: Microscope, tem: temscript.Column, break_it: Spoil, error: type[Exception], words: str
) -> None:
    break_it(tem)
    with pytest.raises(error, match=words):
        thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))


@pytest.mark.parametrize("maker", ["thermo", "serialem"])
def test_adapter_imports_only_light_packages(maker: str) -> None:
    allowed = {"controller", "numpy", "pydantic", "pydantic_core", "annotated_types"}
    allowed |= {"typing_extensions", "typing_inspection"}
    allowed |= {"coverage", "$coverage"}  # loaded in every process whose lines are measured
    code = (
        f"import controller.hardware.adapters.{maker}, sys;"
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    loaded = {name for name in found.stdout.split() if not name.startswith("_")}
    assert loaded - allowed == set()
