"""What travels over the bridge: requests and replies. Data only.

One exposed call takes a request as JSON text and answers with a reply as JSON text. The reply to
:class:`ReadPixels` says how many bytes follow it on the same connection. Both ends validate
against these models, so nothing that is not written here reaches the hardware.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from controller.hardware.limits import SessionLimits
from controller.model.base import Data, Finite, NotNegative, Positive, RequestId
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction

PROTOCOL_VERSION = 5
OBJECT_NAME = "dualtilt.bridge"
POLL_S = 2.0
"""The longest the bridge lets a caller wait before it says "still at it"."""

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
"""What needs the lease, runs on the hardware's thread and happens once per request id."""


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


class LeaseGrant(Data):
    """The right to act, until it is not renewed for `lease_s` seconds of real time."""

    token: Name
    lease_s: Positive


class BridgeReport(Data):
    """What the bridge itself knows: who is in charge and what the specimen has been charged."""

    boot_id: str
    holder: str | None
    dose_spent_e_per_A2: NotNegative
    dose_budget_e_per_A2: Positive | None


class Done(Data):
    kind: Literal["done"] = "done"
    value: Any = None


class Pending(Data):
    """Still under way: ask again with the same request id."""

    kind: Literal["pending"] = "pending"


class Failed(Data):
    kind: Literal["failed"] = "failed"
    code: str
    """A key of `controller.hardware.interface.ERRORS`."""
    message: str


Reply = Annotated[Done | Pending | Failed, Field(discriminator="kind")]
REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)
