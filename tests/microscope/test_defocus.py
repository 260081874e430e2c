"""Defocus on real columns: names and units of the makers, and refusals."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from controller.hardware.adapters import serialem as serialem_adapter
from controller.hardware.adapters import thermo as thermo_adapter
from controller.hardware.adapters.real_column import RealColumn
from controller.hardware.interface import NotSupportedError, OutOfLimitsError
from tests.microscope.contract import new_id
from tests.microscope.test_serialem import SETTINGS as SERIALEM_SETTINGS
from tests.support.columns import serialem, temscript
from tests.support.thermo_column import SETTINGS as THERMO_SETTINGS
from tests.support.virtual_clock import VirtualClock


def thermo(**changes: Any) -> RealColumn:
    return thermo_adapter.connect({**THERMO_SETTINGS, **changes}, None, VirtualClock())


def test_thermo_sets_the_probe_defocus_in_metres(tem: temscript.Column) -> None:
    microscope = thermo(defocus_reach_nm=1000.0)
    assert microscope.status().defocus_nm == pytest.approx(-1500.0)
    assert microscope.describe().defocus_limits_nm == pytest.approx((-2500.0, -500.0))
    assert microscope.set_defocus(new_id(), -1250.0) == pytest.approx(-1250.0)
    assert tem.probe_defocus_m == pytest.approx(-1.25e-6)
    assert set(tem.did("probe defocus")) == {"column-work_0"}
    assert tem.did("objective defocus") == []


def test_thermo_sets_the_objective_defocus_if_configured(tem: temscript.Column) -> None:
    microscope = thermo(focus_by="objective")
    microscope.set_defocus(new_id(), 500.0)
    assert (tem.objective_defocus_m, tem.probe_defocus_m) == pytest.approx((0.5e-6, -1.5e-6))


def test_serialem_sets_its_defocus_in_micrometres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serialem", serialem)
    sem = serialem.new_column()
    microscope = serialem_adapter.connect(SERIALEM_SETTINGS, None, VirtualClock())
    assert microscope.status().defocus_nm == pytest.approx(-1500.0)
    assert microscope.set_defocus(new_id(), -1250.0) == pytest.approx(-1250.0)
    assert sem.defocus_um == pytest.approx(-1.25)


@pytest.mark.parametrize(
    ("condenser_mode", "changes"),
    [
        pytest.param(0, {"convergence_mrad": 8.0}, id="not in probe mode"),
        pytest.param(1, {"defocus_reach_nm": 1e-3}, id="range almost zero"),
    ],
)
def test_defocus_outside_its_range_is_refused_and_not_set(
    tem: temscript.Column, condenser_mode: int, changes: dict[str, Any]
) -> None:
    tem.condenser_mode = condenser_mode
    microscope = thermo(**changes)
    with pytest.raises((NotSupportedError, OutOfLimitsError), match="defocus"):
        microscope.set_defocus(new_id(), 0.0)
    assert tem.probe_defocus_m == -1.5e-6
