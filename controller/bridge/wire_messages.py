"""Requests and replies between session and bridge, as data.

The bridge exposes one call: a request as JSON text in, a reply as JSON text out. The reply to
:class:`ReadPixels` gives the number of bytes that follow it on the same connection. Both sides
validate against these models, so nothing else can reach the hardware.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from controller.hardware.limits import SessionLimits
from controller.model.base import Data, Finite, NotNegative, Positive, RequestId
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction

PROTOCOL_VERSION = 6
OBJECT_NAME = "dualtilt.bridge"
POLL_S = 2.0
"""Longest time until the bridge replies; if the action still runs, it replies `Pending`."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
TEXT_LIMIT = 1000
Text = Annotated[str, Field(max_length=TEXT_LIMIT)]


class MoveStage(Data):
    kind: Literal["move_stage"] = "move_stage"
    target: StagePosition


class SetCurrent(Data):
    kind: Literal["set_current"] = "set_current"
    current_pA: NotNegative


class SetDefocus(Data):
    kind: Literal["set_defocus"] = "set_defocus"
    defocus_nm: Finite


class Acquire(Data):
    kind: Literal["acquire"] = "acquire"
    scan: ScanSettings


class AcquireTilting(Data):
    kind: Literal["acquire_tilting"] = "acquire_tilting"
    scan: ScanSettings
    to_alpha_deg: Finite


class Illuminate(Data):
    kind: Literal["illuminate"] = "illuminate"
    duration_s: Positive
    field_nm: Positive


class Wait(Data):
    kind: Literal["wait"] = "wait"
    duration_s: NotNegative


class SimulateOperator(Data):
    kind: Literal["simulate_operator"] = "simulate_operator"
    action: OperatorAction


Action = Annotated[
    MoveStage
    | SetCurrent
    | SetDefocus
    | Acquire
    | AcquireTilting
    | Illuminate
    | Wait
    | SimulateOperator,
    Field(discriminator="kind"),
]
"""Action: needs the lease, runs on the work thread, and happens once per request id."""


class Describe(Data):
    kind: Literal["describe"] = "describe"


class ReadStatus(Data):
    kind: Literal["status"] = "status"


class ReadReport(Data):
    kind: Literal["report"] = "report"


class TakeLease(Data):
    kind: Literal["take_lease"] = "take_lease"
    holder: Name
    limits: SessionLimits = SessionLimits()


class RenewLease(Data):
    kind: Literal["renew_lease"] = "renew_lease"
    token: Name


class ReleaseLease(Data):
    kind: Literal["release_lease"] = "release_lease"
    token: Name


class Perform(Data):
    kind: Literal["perform"] = "perform"
    token: Name
    request_id: RequestId
    action: Action


class FindFrame(Data):
    kind: Literal["find_frame"] = "find_frame"
    request_id: RequestId


class ReadPixels(Data):
    kind: Literal["read_pixels"] = "read_pixels"
    request_id: RequestId


class Blank(Data):
    kind: Literal["blank"] = "blank"


class StopStage(Data):
    kind: Literal["stop_stage"] = "stop_stage"


class MakeSafe(Data):
    kind: Literal["make_safe"] = "make_safe"
    reason: Text


Request = Annotated[
    Describe
    | ReadStatus
    | ReadReport
    | TakeLease
    | RenewLease
    | ReleaseLease
    | Perform
    | FindFrame
    | ReadPixels
    | Blank
    | StopStage
    | MakeSafe,
    Field(discriminator="kind"),
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


class Welcome(Data):
    """Answer of the bridge to a handshake."""

    boot_id: str
    clock_s: float
    """Clock of the bridge's computer (seconds since 1970)."""
    certificate_ends_s: float | None = None
    """End of the session's certificate, as the bridge reads it; None without TLS."""


class LeaseGrant(Data):
    """Right to act; it expires if it is not renewed within `lease_s` seconds of real time."""

    token: Name
    lease_s: Positive


class BridgeReport(Data):
    """State of the bridge itself: the session in charge, and the dose charged to the specimen."""

    boot_id: str
    holder: str | None
    dose_spent_e_per_A2: NotNegative
    dose_budget_e_per_A2: Positive | None


class Done(Data):
    kind: Literal["done"] = "done"
    value: Any = None


class Pending(Data):
    """The action still runs: repeat the request with the same id."""

    kind: Literal["pending"] = "pending"


class Failed(Data):
    kind: Literal["failed"] = "failed"
    code: str
    """A key of `controller.hardware.interface.ERRORS`."""
    message: str


Reply = Annotated[Done | Pending | Failed, Field(discriminator="kind")]
REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)
