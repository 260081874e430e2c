"""The adapter for Thermo Fisher columns over its stand-in: settings and fixtures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from controller.microscope.adapters.thermo import connect
from controller.microscope.interface import Microscope, ScanSettings
from tests.microscope.contract import new_id
from tests.support.columns import temscript
from tests.support.virtual_clock import VirtualClock

SETTINGS: dict[str, Any] = {
    "inner_collection_mrad": 62.0,
    "outer_collection_mrad": 200.0,
    "full_px": 512,
    "fields": [{"magnification": step, "field_nm": 40e6 / step} for step in temscript.STEPS],
}
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
