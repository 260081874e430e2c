"""Protocols that the column cannot carry out are refused before any exposure, in pre-flight."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

import pytest

from controller.bridge.request_handler import RequestHandler
from controller.bridge.wire_messages import (
    Acquire,
    Failed,
    LeaseGrant,
    Perform,
    SetCurrent,
    TakeLease,
)
from controller.engine.recovery import pause_reason
from controller.hardware.adapters.thermo import connect
from controller.hardware.interface import ERRORS, CurrentNotSetError, MicroscopeError
from controller.model.protocol import Protocol
from controller.model.scan import ScanSettings
from controller.procedures.preflight import check_column
from tests.microscope.contract import new_id
from tests.support.columns import temscript
from tests.support.thermo_column import SETTINGS
from tests.support.virtual_clock import VirtualClock

PROTOCOL = """
name = "offered"
[column]
kind = "bridge"
convergence_mrad = 8.1
[scan]
width_px = 256
height_px = 256
pixel_nm = 1.953125
dwell_us = 5.0
[shower]
field_nm = 500.0
"""


@dataclass(frozen=True)
class Asked:
    name: str
    changes: dict[str, dict[str, Any]]
    failing: tuple[str, ...]
    said: str


ASKED = [
    Asked("all on offer", {}, (), "256 x 256 px of 1.95312 nm"),
    Asked(
        "no wider field",
        {"scan": {"pixel_nm": 7.8125}},
        (),
        "no field 4 times as wide to search for a lost object",
    ),
    Asked("an odd pixel", {"scan": {"pixel_nm": 3.0}}, ("detector",), "offers 0.4883, 0.9766"),
    Asked("an odd size", {"scan": {"width_px": 300}}, ("detector",), "choose from 512 x 512"),
    Asked("shots too short", {"scan": {"dwell_us": 2.0}}, ("detector",), "at least 0.5 us"),
    Asked("no field for it", {"shower": {"field_nm": 360.0}}, ("shower",), "offers 125, 250"),
    Asked("no shower", {"shower": {"enabled": False, "field_nm": 360.0}}, (), "256 x 256"),
]  # fmt: skip


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.name)
def test_preflight_compares_the_protocol_with_the_column(
    tem: temscript.Column, case: Asked
) -> None:
    content = tomllib.loads(PROTOCOL)
    for table, changes in case.changes.items():
        content[table] = {**content[table], **changes}
    microscope = connect(SETTINGS, None, VirtualClock())
    checks = list(check_column(Protocol.model_validate(content), microscope.describe()))
    microscope.close()
    assert tuple(check.name for check in checks if not check.ok) == case.failing
    assert any(case.said in check.detail for check in checks)
    assert tem.frames == [] and not tem.did("unblank")


def test_defocus_that_cannot_be_set_is_found_in_preflight(tem: temscript.Column) -> None:
    tem.condenser_mode = 0
    protocol = Protocol.model_validate(
        {**tomllib.loads(PROTOCOL), "focus": {"before_series": True}}
    )
    microscope = connect({**SETTINGS, "convergence_mrad": 8.1}, None, VirtualClock())
    checks = list(check_column(protocol, microscope.describe()))
    assert [check.name for check in checks if not check.ok] == ["defocus"]


def asked_over_the_bridge(action: Any) -> MicroscopeError:
    """Return the error that a client would raise for the reply of the bridge."""
    handler = RequestHandler(lambda: connect(SETTINGS, None, VirtualClock()), lease_s=10.0)
    try:
        grant = handler.handle(TakeLease(holder="a test").model_dump_json(), "local").reply
        token = LeaseGrant.model_validate(grant.value).token  # type: ignore[union-attr]
        request = Perform(token=token, request_id=new_id(), action=action)
        reply = handler.handle(request.model_dump_json(), "local").reply
        assert isinstance(reply, Failed)
        return ERRORS[reply.code](reply.message)
    finally:
        handler.close("the test is over")


def test_wrong_current_asks_the_operator_to_set_it_by_hand(tem: temscript.Column) -> None:
    tem.probe_A = 40e-12
    error = asked_over_the_bridge(SetCurrent(current_pA=70.0))
    assert isinstance(error, CurrentNotSetError)
    reason = pause_reason("A-start", error)
    assert "the screen current is 40.0 pA: set 70 pA within 10%" in reason
    assert reason.endswith("then go on: the current is measured again")
    assert tem.screen_target == temscript.UP


def test_scan_that_the_column_does_not_offer_is_refused_by_the_bridge(
    tem: temscript.Column,
) -> None:
    scan = ScanSettings(width_px=256, height_px=256, pixel_nm=3.0, dwell_us=5.0)
    assert "the column offers" in str(asked_over_the_bridge(Acquire(scan=scan)))
    assert tem.frames == []
