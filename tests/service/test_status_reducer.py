"""Status after events: a table of named cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from controller.model.events import (
    Alerted,
    BeamChanged,
    Checked,
    Event,
    Level,
    PauseAsked,
    Phase,
    PhaseFinished,
    PhaseStarted,
    PreviewReady,
    ProcessingFailed,
    ProcessingProgressed,
    PromptAnswered,
    PromptOpened,
    State,
    StateChanged,
)
from controller.service.event_text import event_line
from controller.service.session_status import ALERTS_KEPT, PhaseState, SessionStatus
from controller.service.status_reducer import next_status
from tests.support import scripted_session as script
from tests.support.status_events import (
    advised,
    count,
    ended_early,
    frame,
    judged,
    missed,
    status_after,
    withdrawn,
)


@dataclass(frozen=True)
class Case:
    name: str
    events: tuple[Event, ...]
    look: Callable[[SessionStatus], object]
    expected: object


CASES = (
    Case("nothing yet", (), lambda s: (s.phase, s.state, s.seq), (None, State.READY, -1)),
    Case(
        "the plan is known from the start",
        (script.started(Path("/x")),),
        lambda s: (s.simulated, s.series["A"].planned, s.series["B"].planned),
        (True, 73, 74),
    ),
    Case(
        "a phase under way",
        (PhaseStarted(phase=Phase.A),),
        lambda s: (s.phase, s.phases[Phase.A]),
        (Phase.A, PhaseState.RUNNING),
    ),
    Case(
        "between two phases the last one done is shown",
        (PhaseStarted(phase=Phase.A), PhaseFinished(phase=Phase.A)),
        lambda s: (s.phase, s.phases[Phase.A]),
        (Phase.A, PhaseState.DONE),
    ),
    Case(
        "a phase that a crash left running is done when the next starts",
        (PhaseStarted(phase=Phase.SHOWER), PhaseStarted(phase=Phase.A)),
        lambda s: (s.phases[Phase.SHOWER], s.phases[Phase.PREFLIGHT]),
        (PhaseState.DONE, PhaseState.PENDING),
    ),
    Case(
        "a resumed session is in its pre-flight only",
        (
            PhaseStarted(phase=Phase.A),
            script.started(Path("/x")),
            PhaseStarted(phase=Phase.PREFLIGHT),
        ),
        lambda s: [phase for phase in Phase if s.phases[phase] is PhaseState.RUNNING],
        [Phase.PREFLIGHT],
    ),
    Case(
        "back to the flip from B's first image",
        (PhaseStarted(phase=Phase.B), PhaseStarted(phase=Phase.FLIP)),
        lambda s: s.phases[Phase.FLIP],
        PhaseState.RUNNING,
    ),
    Case(
        "a frame gives angle, time left and dose",
        (frame(0), frame(1)),
        lambda s: (s.alpha_deg, s.left_s, s.dose_e_per_A2, len(s.series["A"].tilts)),
        (-68.0, 10.0, 200.0, 2),
    ),
    Case(
        "a retake replaces the first frame of its tilt, whatever its actual angle",
        (
            frame(0, "dim", actual_deg=-70.0),
            frame(1),
            withdrawn(0),
            frame(2, tilt_number=1, nominal_deg=-70.0, actual_deg=-69.7),
        ),
        lambda s: [(t.frame.section, t.frame.tilt_number) for t in s.series["A"].tilts],
        [(1, 2), (2, 1)],
    ),
    Case(
        "a withdrawn frame leaves the series",
        (frame(0), frame(1), withdrawn(1)),
        lambda s: ([t.frame.section for t in s.series["A"].tilts], s.series["A"].tilts_left),
        ([0], 72),
    ),
    Case(
        "neighbours a quarter of a degree apart both stay",
        (frame(0, nominal_deg=-70.0), frame(1, nominal_deg=-69.75, actual_deg=-69.9)),
        lambda s: len(s.series["A"].tilts),
        2,
    ),
    Case(
        "a series with a skipped tilt is complete without it",
        (frame(0, planned=3, tilts_left=2), missed(2, 1), frame(1, planned=3, tilt_number=3)),
        lambda s: (s.series["A"].complete, len(s.series["A"].tilts)),
        (True, 2),
    ),
    Case(
        "a series with a retake is not complete before its last tilt",
        (frame(0), withdrawn(0), frame(1, tilt_number=1, planned=2), frame(2, planned=2)),
        lambda s: s.series["A"].complete,
        False,
    ),
    Case(
        "the shift of the alignment replaces that of the tracking",
        (frame(0), frame(1), judged(0, 0.5)),
        lambda s: [(t.residual_px, t.shift_px) for t in s.series["A"].tilts],
        [(0.5, 0.5), (None, 5.0)],
    ),
    Case(
        "a residual of an unknown frame changes nothing",
        (frame(0), judged(7, 0.5)),
        lambda s: [t.residual_px for t in s.series["A"].tilts],
        [None],
    ),
    Case(
        "live counts make a curve",
        (count(100, 16), count(200, 24), count(210, 24)),
        lambda s: [(p.tilts_used, p.n) for p in s.counts["A"].points],
        [(16, 100), (24, 210)],
    ),
    Case(
        "the final count ends the curve",
        (count(100, 16), count(300, 73, live=False)),
        lambda s: (s.counts["A"].latest.n, s.counts["A"].live),
        (300, False),
    ),
    Case(
        "a pause that waits for the current step",
        (StateChanged(state=State.RUNNING), PauseAsked(waiting=True)),
        lambda s: (s.state, s.pausing),
        (State.RUNNING, True),
    ),
    Case(
        "a pause that is cancelled",
        (PauseAsked(waiting=True), PauseAsked(waiting=False)),
        lambda s: s.pausing,
        False,
    ),
    Case(
        "the end of the session cancels a pause",
        (PauseAsked(waiting=True), StateChanged(state=State.FAILED)),
        lambda s: s.pausing,
        False,
    ),
    Case(
        "the newest advice on each topic of each series, and on each tilt",
        (
            advised("A", "convergence", "old"),
            advised("A", "retake", "third", 2),
            advised("A", "retake", "fourth", 3),
            advised("B", "convergence", "B's"),
            advised("A", "convergence", "new"),
        ),
        lambda s: [known.text for known in s.advice],
        ["third", "fourth", "B's", "new"],
    ),
    Case(
        "a live count after the final one is ignored",
        (count(300, 73, live=False), count(290, 70)),
        lambda s: (s.counts["A"].latest.n, s.counts["A"].live),
        (300, False),
    ),
    Case(
        "a prompt opens",
        (PromptOpened(prompt=script.FLIP_PROMPT),),
        lambda s: (s.prompt, s.prompt_seq),
        (script.FLIP_PROMPT, 0),
    ),
    Case(
        "a prompt closes with its answer",
        (
            PromptOpened(prompt=script.FLIP_PROMPT),
            PromptAnswered(prompt_id="flip", value="done", by="operator"),
        ),
        lambda s: s.prompt,
        None,
    ),
    Case(
        "an answer to another prompt leaves it open",
        (
            PromptOpened(prompt=script.FLIP_PROMPT),
            PromptAnswered(prompt_id="preflight", value="start", by="operator"),
        ),
        lambda s: s.prompt,
        script.FLIP_PROMPT,
    ),
    Case(
        "the end of the session closes a prompt",
        (PromptOpened(prompt=script.FLIP_PROMPT), StateChanged(state=State.STOPPED)),
        lambda s: (s.prompt, s.ended),
        (None, True),
    ),
    Case(
        "a repeated check replaces its first result",
        (
            Checked(name="disk", ok=False, detail="full"),
            Checked(name="disk", ok=True, detail="room"),
        ),
        lambda s: [(c.name, c.ok) for c in s.checks],
        [("disk", True)],
    ),
    Case(
        "the flip starts a new check list",
        (Checked(name="disk", ok=True, detail=""), PhaseStarted(phase=Phase.FLIP)),
        lambda s: s.checks,
        (),
    ),
    Case(
        "checks from before the flip are void after it",
        (
            *script.flip_refused(),
            Checked(name="stage at zero", ok=True, detail=""),
            PromptAnswered(prompt_id="flip", value="done", by="operator"),
            Checked(name="drift", ok=True, detail=""),
        ),
        lambda s: ([check.name for check in s.checks], s.flip_check),
        (["drift"], None),
    ),
    Case(
        "beam",
        (BeamChanged(blanked=True, current_pA=70.0),),
        lambda s: s.beam is not None and s.beam.blanked,
        True,
    ),
    Case(
        "the beam, with the dose of shots that are no frames",
        (BeamChanged(blanked=True, current_pA=70.0, dose_e_per_A2=900.0),),
        lambda s: (s.beam is not None and s.beam.blanked, s.dose_e_per_A2),
        (True, 900.0),
    ),
    Case(
        "only running jobs are shown",
        (
            ProcessingProgressed(job="A", stage="SIRT", fraction=0.5, behind=3),
            ProcessingProgressed(job="live-B", stage="frames", fraction=0.1, behind=4),
            ProcessingProgressed(job="A", stage="SSR", fraction=1.0, behind=2),
        ),
        lambda s: (sorted(s.processing), s.behind),
        (["live-B"], 4),
    ),
    Case(
        "frames that are not processed yet are behind",
        (frame(0), judged(0, 0.5), frame(1), frame(2), frame(3, "invalid")),
        lambda s: s.frames_behind,
        2,
    ),
    Case(
        "no frame is behind once the newest one is processed",
        (frame(0), frame(1), frame(2), judged(2, 0.5)),
        lambda s: s.frames_behind,
        0,
    ),
    Case(
        "a restarted worker reports how far it is behind",
        (
            frame(0),
            judged(0, 0.5),
            ProcessingProgressed(job="live-A", stage="frames", fraction=0.1, behind=4),
        ),
        lambda s: s.frames_behind,
        4,
    ),
    Case(
        "a repeated failure is listed once",
        (
            ProcessingFailed(job="live-A", reason="does not start"),
            ProcessingFailed(job="live-A", reason="does not start"),
            ProcessingFailed(job="A", reason="no memory"),
        ),
        lambda s: [failed.job for failed in s.failures],
        ["live-A", "A"],
    ),
    Case(
        "the final count ends its job",
        (ProcessingProgressed(job="A", stage="SSR", fraction=0.99), count(300, 73, live=False)),
        lambda s: s.processing,
        {},
    ),
    Case(
        "a new picture has a new sequence number",
        (PreviewReady(view="frame", path="p.npy"), PreviewReady(view="frame", path="p.npy")),
        lambda s: s.previews["frame"].seq,
        1,
    ),
    Case(
        "only the newest alerts are kept",
        tuple(Alerted(level=Level.WARNING, text=str(i)) for i in range(ALERTS_KEPT + 5)),
        lambda s: (len(s.alerts), s.alerts[-1].alert.text),
        (ALERTS_KEPT, str(ALERTS_KEPT + 4)),
    ),
    Case(
        "a refused flip is an alert",
        (script.SAME_SIDE_UP,),
        lambda s: (s.flip_check, s.alerts[-1].alert.text),
        (script.SAME_SIDE_UP, f"flip NOT CONFIRMED: {script.SAME_SIDE_UP.found}"),
    ),
    Case(
        "after images of the same side up, flipping again is the first answer",
        (PromptOpened(prompt=script.FLIP_CHECK_PROMPT),),
        lambda s: s.prompt and s.prompt.choices[0],
        "back-to-flip",
    ),
    Case(
        "information is news, and hides no alert",
        (
            Alerted(level=Level.WARNING, text="drift"),
            Alerted(level=Level.INFO, text="focus at 20 nm"),
            Alerted(level=Level.INFO, text="focus at 30 nm"),
        ),
        lambda s: ([known.alert.text for known in s.alerts], s.news and s.news.alert.text),
        (["drift"], "focus at 30 nm"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_status_after_events(case: Case) -> None:
    assert case.look(status_after(*case.events)) == case.expected


def test_every_kind_of_event_has_a_reducer_and_a_line() -> None:
    kinds = {kind.model_fields["kind"].default for kind in get_args(get_args(Event)[0])}
    seen = set()
    events = [*script.whole(Path("/x")), Alerted(level=Level.INFO, text="i")]
    events += [PreviewReady(view="frame", path="p.npy"), ProcessingFailed(job="A", reason="r")]
    events += [PauseAsked(waiting=True), advised("A", "retake", tilt_number=4)]
    events += [withdrawn(0), missed(2, 1), ended_early(3, 2)]
    for record in script.records(iter(events)):
        assert next_status(SessionStatus(), record).seq == record.seq
        assert event_line(record)
        seen.add(record.event.kind)
    assert seen == kinds


def test_a_record_read_twice_counts_once() -> None:
    records = script.records(iter([frame(0), count(100, 16), frame(1)]))
    once, twice = SessionStatus(), SessionStatus()
    for record in records:
        once = next_status(once, record)
    for record in [*records, *records]:
        twice = next_status(twice, record)
    assert once == twice


def test_status_is_unchanged_after_json() -> None:
    status = status_after(*script.whole(Path("/x")))
    assert SessionStatus.model_validate_json(status.model_dump_json()) == status
