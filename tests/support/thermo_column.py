"""Adapter for Thermo Fisher columns on its stand-in: settings and fixtures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from controller.hardware.adapters.thermo import connect
from controller.hardware.interface import Microscope
from tests.support.adapters import verified
from tests.support.columns import temscript

SETTINGS: dict[str, Any] = {
    "inner_collection_mrad": 62.0,
    "outer_collection_mrad": 200.0,
    "full_px": 512,
    "fields": [{"magnification": step, "field_nm": 40e6 / step} for step in temscript.STEPS],
}


@pytest.fixture
def tem(monkeypatch: pytest.MonkeyPatch) -> temscript.Column:
    """Return a new stand-in column behind temscript."""
    monkeypatch.setitem(sys.modules, "temscript", temscript)
    return temscript.new_column()


@pytest.fixture
def thermo(tem: temscript.Column) -> Iterator[Microscope]:
    """Yield the adapter in virtual time, with its probe current verified."""
    with verified(tem, connect, SETTINGS) as microscope:
        yield microscope
