"""Events up to each phase, and text that the screen then shows at 80 x 24."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from controller.model.events import (
    Advised,
    Checked,
    Counted,
    Event,
    Phase,
    PhaseStarted,
    PreviewReady,
    State,
    StateChanged,
)
from tests.support import scripted_session as script
from tests.tui.support import FOLDER

UP_TO_A: tuple[Callable[[], Iterator[Event]], ...] = (script.preflight, script.shower)


SERIES_STARTED = PhaseStarted(phase=Phase.A)
LIVE_ADVICE = (
    Advised(series="A", topic="convergence", text="of the other series", ok=False),
    Advised(series="B", topic="blurred-side", text="neither side is blurred " * 5, ok=True),
    Advised(
        series="B",
        topic="convergence",
        text="count not settled: the last 34 tilts would change it by +210",
        ok=False,
    ),
    Advised(
        series="B",
        topic="retake",
        text="blurred at -52.0°; record it again",
        ok=False,
        tilt_number=12,
    ),
    Counted(which="fused", n=6900, n_low=6840, n_high=6960, tilts_used=113, live=True),
)


def upto_a41() -> list[Event]:
    return [
        script.started(FOLDER),
        *chain.from_iterable(part() for part in UP_TO_A),
        *script.series("A", 41),
    ]


def upto_flip() -> list[Event]:
    return [
        script.started(FOLDER),
        *chain.from_iterable(part() for part in UP_TO_A),
        *script.series("A"),
        *script.reconstructed("A"),
        *script.flip(),
    ]


OUT_OF_RANGE = "tilts -74 to +74, reach -60 to +60 degrees"
FAILED_CHECK = (
    Checked(name="stage range", ok=False, detail=OUT_OF_RANGE),
    StateChanged(
        state=State.FAILED,
        reason=f"pre-flight: 1 of 14 checks failed: stage range: {OUT_OF_RANGE}",
    ),
)


PHASES: dict[str, tuple[list[Event], tuple[str, ...]]] = {
    "pre-flight": (
        [script.started(FOLDER), *script.preflight()],
        (
            "[ pre ]",
            "✓ bridge",
            "✓ dose ",
            "14 checks passed",
            "73 + 74 tilts",
            "37:40",
            "14.5 of 60 ke/Å² allowed",
        ),
    ),
    "pre-flight, a check failed": (
        [script.started(FOLDER), *script.preflight(), *FAILED_CHECK],
        (
            "✗ 1 of 14 checks failed",
            "✗ stage range: tilts -74 to +74, reach",  # in full, and before the good ones
            "-60 to +60 degrees",
            "✓ dose ",
            "✗ failed · dualtilt resume /data/au-assembly continues it",
            "■ STOP NOW",
            "■ pre-flight: 1 of 14 checks failed: stage range",
        ),
    ),
    "pre-flight, prompt to start": (
        [script.started(FOLDER), *script.preflight(), *script.asked_to_start()],
        (
            "Ready to start",
            "Object: 165.3 nm across, 12.4 nm off",
            "Planned: 73 + 74 tilts, 38 minutes",
            "look ",
            "dualtilt answer preflight start",
            "asks you: Ready to start",
        ),
    ),
    "shower": (
        [script.started(FOLDER), *script.preflight(), *list(script.shower(4))[:-2]],
        (
            "✓pre",
            "[ shower ]",
            "+30°  4 of 5   this angle 0:00",
            "whole shower 1:00  █████████▋··",
            "beam ON 40 pA",
            "dose 4.3 ke/Å² of 14.5 planned, 60 max",
            "size 166.1 nm   -0.6% at +0°",
            "drift 0.5 nm, 0.0086 nm/s at +0°",
            "size/nm vs time",
            "dose/(ke/Å²) vs time",
        ),
    ),
    "series A": (
        upto_a41(),
        (
            "[ A 41/73 ]",
            "SIM",
            "+10.0° 56%  left 2:30  0 behind",
            "beam ON 70 pA",
            "dose 8.2 ke/Å² of 14.5 planned, 60 max",
            "live residual 0.54 px ok",
            "A alone   6669 ± 132   d 6.3 nm",
            "live residual/px vs tilt ╌ limit 1",
            "particles vs tilts used",
            "✓ GOOD",
            "frame is off the centre by 4.1 px, limit 4.0",
            "Pause",
            "Leave",
        ),
    ),
    "series A, with its structure and a pixel size": (
        [
            *upto_a41(),
            PreviewReady(view="frame", path="previews/frame.npy", pixel_nm=1.4),
            Counted(
                which="A",
                n=6700,
                n_low=6650,
                n_high=6750,
                tilts_used=41,
                live=True,
                structure="fcc 61 %, hcp 14 %, 5 grains",
            ),
        ],
        ("A alone   6700 ± 50", "fcc 61 %, hcp 14 %, 5 grains", "shift ", " nm  live residual"),
    ),
    "series A, no data yet": (
        [script.started(FOLDER), *chain.from_iterable(part() for part in UP_TO_A), SERIES_STARTED],
        ("[ A 0/73 ]", "A alone   not counted yet", "no data yet"),
    ),
    "series B, with advice": (
        [*upto_flip(), *script.flipped(), *script.series("B", 40), *LIVE_ADVICE],
        (
            "[ B 40/74 ]",
            "A alone   ",
            "! B#12: blurred at -52.0°; record it",
            "! count not settled: the last 34 tilts",
            "  would change it by +210",
            "fused     6900 ± 60",
            "residual/px vs tilt",
            "particles vs tilts used  A B",
        ),
    ),
    "flip": (
        upto_flip(),
        (
            "[ flip ]",
            "beam blanked 70 pA",
            "Checked: beam blanked",
            "Flip the grid",
            "1. Retract the holder",
            "3. Put it back",
            "4. Insert the holder",
            "done",
            "dualtilt answer flip done",
            "? asks you: Flip the grid",
            "? YOUR TURN",
            "PgDn Scroll",
            "| B expected",
        ),
    ),
    "flip refused": (
        [*upto_flip(), *script.flip_refused()],
        (
            "✗ NOT CONFIRMED",
            "same side up",
            "0.83",
            "▲ STOP AT END",
            "▲ back-to-flip or retake-image: same side up",
            "? asks you: dualtilt answer flip-check back-to-flip ",
            "(2 alerts, l)",
            "override",
            "flip-check",
        ),
    ),
    "flip accepted": (
        [*upto_flip(), *list(script.flipped())[:-1]],
        (
            "✓ confirmed: flipped, turned by 71",
            "degrees in the plane",
            "same side up  0.22",
            "next best     0.34",
            "in-plane rotation +71°, residual tilt",
            "size -0.4%, signal +2.0% against A",
            "✓ drift",
        ),
    ),
    "fuse": (
        [*upto_flip(), *script.flipped(), *script.series("B"), *script.fuse(0.6)],
        ("[ fuse ]", "fuse: Haar fusion", "60%", "A alone", "7061 ± 109"),
    ),
    "report": (
        list(script.whole(FOLDER)),
        (
            "✓fuse ✓report",
            "final residual  A 0.012 px  B 0.012 px",
            "fused",
            "7116 ± 5",
            "report.html",
            "✓ finished",
        ),
    ),
}
