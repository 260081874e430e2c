"""State machine of sessions at a bridge: what they do in any order, and what must hold after it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from controller.bridge import wire_messages as m
from controller.bridge.lease import Lease
from controller.bridge.request_handler import RequestHandler
from controller.hardware.interface import (
    BeamLostError,
    ConnectionLostError,
    LeaseError,
    OutOfLimitsError,
)
from controller.hardware.limits import SessionLimits
from controller.model.scan import FrameInfo, ScanSettings
from controller.model.stage import StagePosition
from tests.support.fake_behaviour import FakeSettings
from tests.support.fake_microscope import FakeMicroscope

SCAN = ScanSettings(width_px=16, height_px=16, pixel_nm=1.0, dwell_us=1.0)
CURRENT_PA = 50.0
FRAME_DOSE = SCAN.dose_e_per_A2(CURRENT_PA)
BUDGET_FRAMES = 3
LEASE_S = 10.0
WHO = st.sampled_from(["Ada", "Bob"])
ACTOR = st.sampled_from(["in charge", "in charge", "in charge", "Ada", "Bob"])


class Clock:
    """Clock that the machine sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Client:
    """A session as the model sees it."""

    token: str = ""
    frames: dict[str, int] = field(default_factory=dict)
    """Checksum of every acknowledged frame, by request id."""


class SteppedBridge(RequestHandler):
    """Bridge whose lease is watched when the machine says so, not by a thread."""

    def __init__(self, microscope: FakeMicroscope, clock: Clock) -> None:
        super().__init__(lambda: microscope, LEASE_S)
        self._lease = Lease(LEASE_S, clock)

    def _watch_lease(self) -> None:
        self._closing.wait()

    def watch_once(self) -> None:
        """Do what the thread does at every turn."""
        self._release_if_expired()

    def keeps(self, request_id: str) -> bool:
        """Tell whether the pixels of a request are still in the buffer."""
        return self._frames.get(request_id) is not None


class SessionsAtABridge(RuleBasedStateMachine):
    """Two sessions at one bridge, in any order of requests, crashes and answers lost."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.clients = {"Ada": Client(), "Bob": Client()}
        self.boots = 0
        self.numbers = 0
        self.exposed: dict[str, int] = {}
        """Number of exposures of the specimen, by request id, over all boots."""
        self.charged_before = 0.0
        self.start_bridge()

    def start_bridge(self) -> None:
        """Start a bridge on the same column: it knows nothing of the requests of the last one."""
        self.boots += 1
        settings = FakeSettings(noise=True, forgets_requests=True)
        self.microscope = FakeMicroscope(f"boot-{self.boots}", settings=settings)
        self.microscope.fault = self.watch_hardware
        self.bridge = SteppedBridge(self.microscope, self.clock)

    def watch_hardware(self, action: str, request_id: str) -> None:
        """Check at the moment of an action that somebody is in charge; raise the planned fault."""
        if action in ("acquire", "illuminate", "move"):
            assert self.bridge.lease_holder is not None, f"{action} with nobody in charge"
            assert not self.expired(), f"{action} after the lease had expired"
        if action in ("acquire", "illuminate"):
            self.exposed[request_id] = self.exposed.get(request_id, 0) + 1
            if self.planned is not None:
                raise self.planned

    planned: Exception | None = None
    expires_s = 0.0

    def expired(self) -> bool:
        """Tell whether the lease of the session in charge is over, by the model's own count."""
        return self.clock.now_s > self.expires_s

    def ask(self, request: m.Request) -> m.Reply:
        """Have the bridge answer one request."""
        return self.bridge.handle(request.model_dump_json(), "test").reply

    def actor(self, who: str) -> str:
        """Return the name of a session; "in charge" is Ada if nobody is."""
        return (self.bridge.lease_holder or "Ada") if who == "in charge" else who

    def perform(self, who: str, request_id: str, action: m.Action) -> m.Reply:
        """Request an action under a session's token."""
        token = self.clients[who].token or "none"
        return self.ask(m.Perform(token=token, request_id=request_id, action=action))

    # -- what sessions do ------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """Begin with a session in charge."""
        self.connect("Ada")

    @rule(who=WHO)
    def connect(self, who: str) -> None:
        """Take the lease with the dose that the session has charged so far, as a resumed one."""
        in_charge = self.bridge.lease_holder
        limits = SessionLimits(
            dose_budget_e_per_A2=BUDGET_FRAMES * FRAME_DOSE,
            dose_spent_e_per_A2=self.spent() * FRAME_DOSE,
        )
        reply = self.ask(m.TakeLease(holder=who, limits=limits))
        if in_charge is None:
            assert isinstance(reply, m.Done)
            self.clients[who].token = reply.value.token
            self.expires_s = self.clock.now_s + LEASE_S
        else:
            assert isinstance(reply, m.Failed) and reply.code == LeaseError.code

    @rule(who=ACTOR)
    def renew(self, who: str) -> None:
        who = self.actor(who)
        reply = self.ask(m.RenewLease(token=self.clients[who].token or "none"))
        assert isinstance(reply, m.Done) == self.in_charge(who)
        if isinstance(reply, m.Done):
            self.expires_s = self.clock.now_s + LEASE_S

    @rule(who=WHO)
    def release(self, who: str) -> None:
        in_charge = self.in_charge(who)
        reply = self.ask(m.ReleaseLease(token=self.clients[who].token or "none"))
        assert isinstance(reply, m.Done) == in_charge

    @rule(who=ACTOR, alpha_deg=st.sampled_from([-90.0, -70.0, 0.0, 70.0]))
    def move(self, who: str, alpha_deg: float) -> None:
        who = self.actor(who)
        action = m.MoveStage(target=StagePosition(alpha_deg=alpha_deg))
        reply = self.perform(who, self.new_id(), action)
        assert isinstance(reply, m.Done) == (self.in_charge(who) and abs(alpha_deg) <= 80)

    @rule(who=ACTOR, lost=st.booleans())
    def expose(self, who: str, lost: bool) -> None:
        """Record a frame; if the answer is lost, ask again with the same id."""
        who, request_id = self.actor(who), self.new_id()
        spent, in_charge = self.spent(), self.in_charge(who)
        reply = self.perform(who, request_id, m.Acquire(scan=SCAN))
        if lost:
            reply = self.perform(who, request_id, m.Acquire(scan=SCAN))
        if not in_charge:
            assert isinstance(reply, m.Failed) and reply.code == LeaseError.code
        elif spent >= BUDGET_FRAMES:
            assert isinstance(reply, m.Failed) and reply.code == OutOfLimitsError.code
        else:
            assert isinstance(reply, m.Done)
            self.clients[who].frames[request_id] = FrameInfo.model_validate(reply.value).crc32

    @rule(
        who=ACTOR,
        fault=st.sampled_from([BeamLostError, ConnectionLostError, MemoryError]),
    )
    def expose_in_vain(self, who: str, fault: type[Exception]) -> None:
        """Expose where the column fails after the beam has come on."""
        self.planned = fault("planned")
        reply = self.perform(self.actor(who), self.new_id(), m.Acquire(scan=SCAN))
        assert isinstance(reply, m.Failed)
        self.planned = None

    @rule(who=ACTOR)
    def repeat_an_old_request(self, who: str) -> None:
        """Request the last frame of this bridge again: no new exposure, the same pixels.

        A session does not repeat a request at a bridge with another boot id.
        """
        who = self.actor(who)
        frames = self.clients[who].frames
        known = [request_id for request_id in frames if self.bridge.keeps(request_id)]
        if not known:
            return
        before = dict(self.exposed)
        reply = self.perform(who, known[-1], m.Acquire(scan=SCAN))
        assert isinstance(reply, m.Done) == self.in_charge(who)
        if isinstance(reply, m.Done):
            assert FrameInfo.model_validate(reply.value).crc32 == frames[known[-1]]
        assert self.exposed == before

    @rule()
    def abort(self) -> None:
        """Make safe; anybody may, at any time."""
        assert isinstance(self.ask(m.MakeSafe(reason="abort")), m.Done)
        assert self.microscope.blanked

    @rule(who=WHO)
    def crash(self, who: str) -> None:
        """A session dies: its token is lost, its frames are on its disk."""
        self.clients[who].token = ""

    @rule(seconds=st.sampled_from([1.0, 4.0, 9.0, 11.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.bridge.watch_once()

    @rule()
    def watch(self) -> None:
        self.bridge.watch_once()

    @precondition(lambda self: self.boots < 4)
    @rule()
    def restart_bridge(self) -> None:
        """The bridge dies and another one is started: all leases are gone."""
        self.bridge.close("restarted")
        self.start_bridge()

    # -- what must hold ---------------------------------------------------------------------

    @invariant()
    def beam_is_off_between_requests(self) -> None:
        """With nobody in charge the beam is off; an exposure that failed may need a blank."""
        if self.bridge.lease_holder is None:
            assert self.microscope.blanked

    @invariant()
    def no_request_exposes_twice_and_none_beyond_the_budget(self) -> None:
        assert all(count == 1 for count in self.exposed.values())
        assert len(self.exposed) <= BUDGET_FRAMES

    @invariant()
    def no_acknowledged_frame_has_changed(self) -> None:
        for client in self.clients.values():
            for request_id, crc32 in client.frames.items():
                if self.bridge.keeps(request_id):
                    pixels = self.bridge.handle(
                        m.ReadPixels(request_id=request_id).model_dump_json(), "test"
                    ).pixels
                    assert pixels is not None and zlib.crc32(pixels) == crc32

    @invariant()
    def the_charge_covers_every_exposure(self) -> None:
        report = self.ask(m.ReadReport())
        assert isinstance(report, m.Done)
        if self.bridge.lease_holder is not None:
            assert report.value.dose_spent_e_per_A2 >= (len(self.exposed) - 0.01) * FRAME_DOSE

    def teardown(self) -> None:
        """End the bridge; the column must be safe."""
        self.bridge.close("done")
        assert self.microscope.blanked

    def in_charge(self, who: str) -> bool:
        """Tell whether a session holds a lease that has not expired."""
        return self.bridge.in_charge(self.clients[who].token) and not self.expired()

    def spent(self) -> int:
        """Number of exposures that the specimen has had."""
        return len(self.exposed)

    def new_id(self) -> str:
        """Return a request id that nobody has used."""
        self.numbers += 1
        return f"r{self.numbers}"
