"""Complete session as a list of events with images, without engine, microscope or clock.

Used by tests of service and screen, and by the screenshots of the README.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.model.base import SeriesName
from controller.model.events import (
    Advised,
    Alerted,
    BeamChanged,
    Checked,
    Counted,
    Event,
    FlipChecked,
    Level,
    Phase,
    PhaseFinished,
    PhaseStarted,
    PreviewReady,
    ProcessingProgressed,
    PromptAnswered,
    PromptOpened,
    Record,
    ReportWritten,
    SessionStarted,
    Showered,
    ShowerSliceStarted,
    State,
    StateChanged,
    TiltJudged,
)
from controller.model.prompts import Prompt
from controller.model.protocol import Protocol
from controller.procedures.flip.flip_prompts import flip_check_prompt, flip_prompt
from tests.support.frames import frame_event, recorded_frame

Picture = NDArray[np.uint8]
TILTS_A = tuple(float(tilt) for tilt in range(-70, 75, 2))
TILTS_B = tuple(float(tilt) for tilt in range(-74, 73, 2))
DOSE_PER_TILT = 59.0
PIXEL_NM = 1.2
"""Width of a pixel of the pictures."""
SHOWER_DOSE = 5_800.0
PARTICLES = {"A": 7061, "B": 7034, "fused": 7116}
INTERVAL = {"A": 109, "B": 112, "fused": 5}
"""Half width of the 95 % interval; a single series does not resolve its blurred side."""

SCAN = {"width_px": 512, "height_px": 512, "pixel_nm": 0.45, "dwell_us": 3.0}
START_PROMPT = Prompt(
    id="preflight",
    title="Ready to start",
    text="All checks of the column and the session passed.\n"
    "Object: 165.3 nm across, 12.4 nm off centre.\n"
    "Planned: 73 + 74 tilts, 38 minutes, 14473 e/Å².\n"
    "`look` takes another shot of 3.4 e/Å².",
    choices=("start", "look", "stop"),
    unanswered="waits for an answer",
)
FLIP_PROMPT = flip_prompt(
    Protocol.model_validate({"name": "au-assembly", "scan": SCAN}),
    "Checked: beam blanked, stage at zero, column valves closed.",
    searched_nm=2560.0,
    simulated=False,
)
SAME_SIDE_UP = FlipChecked(
    flipped_score=0.21,
    same_side_score=0.83,
    in_plane_deg=4.0,
    runner_up_score=0.21,
    seat_deg=0.8,
    offset_nm=(9.0, -4.0),
    accepted=False,
    found="same side up, turned by 4 degrees in the plane: not flipped",
)
FLIP_CHECK_PROMPT = flip_check_prompt(SAME_SIDE_UP)


def started(folder: Path) -> SessionStarted:
    """Return the first event."""
    dose = SHOWER_DOSE + DOSE_PER_TILT * (len(TILTS_A) + len(TILTS_B))
    return SessionStarted(
        name="au-assembly",
        folder=str(folder),
        microscope="simulator",
        simulated=True,
        tilts_a_deg=TILTS_A,
        tilts_b_deg=TILTS_B,
        planned_s=2_260.0,
        planned_dose_e_per_A2=dose,
        dose_budget_e_per_A2=60_000.0,
    )


def preflight() -> Iterator[Event]:
    """Yield a passed pre-flight list."""
    yield PhaseStarted(phase=Phase.PREFLIGHT)
    yield StateChanged(state=State.RUNNING)
    yield BeamChanged(blanked=True, current_pA=40.0)
    for name, detail in (
        ("bridge", "simulator answers"),
        ("column", "simulator found, simulator required"),
        ("voltage", "300 kV found, 300 required"),
        ("convergence", "8 mrad found, 8 required"),
        ("inner collection", "62 mrad found, 62 required"),
        ("stage range", "tilts -74 to +74, reach -80 to +80 degrees"),
        ("detector", "512 x 512 px of 0.36 nm"),
        ("vacuum", "good"),
        ("valves", "open"),
        ("stage", "ready"),
        ("disk", "241.0 GB free, 0.31 GB required"),
        ("write test", "written and read back"),
        ("processing", "can be imported"),
        ("dose", "14473 of 60000 e/Å² planned"),
    ):
        yield Checked(name=name, ok=True, detail=detail)


def asked_to_start() -> Iterator[Event]:
    """Yield the object found and the open start prompt."""
    yield BeamChanged(blanked=False, current_pA=40.0)
    yield BeamChanged(blanked=True, current_pA=40.0)
    yield Checked(name="object", ok=True, detail="165.3 nm across, 12.4 nm off centre")
    yield StateChanged(state=State.WAITING, reason=START_PROMPT.title)
    yield PromptOpened(prompt=START_PROMPT)


def shower(angles: int = 5) -> Iterator[Event]:
    """Yield the beam shower up to a number of angles, with the assembly shrinking."""
    yield PhaseFinished(phase=Phase.PREFLIGHT)
    yield PhaseStarted(phase=Phase.SHOWER)
    for angle in range(1, angles + 1):
        yield showered(angle, 0.0)
        for slice_ in (1, 2, 3):
            yield BeamChanged(blanked=False, current_pA=40.0)
            yield ShowerSliceStarted(duration_s=20.0)
            yield showered(angle, 20.0 * slice_)
    yield BeamChanged(blanked=True, current_pA=40.0)


def showered(angle: int, elapsed_s: float) -> Showered:
    """Return the progress at one of five angles, with a low-dose shot at start and end."""
    total_s = 60.0 * (angle - 1) + elapsed_s
    measured, finished = elapsed_s in (0.0, 60.0), elapsed_s == 60.0
    drift_nm = 2.4 * math.exp(-angle / 2)
    return Showered(
        alpha_deg=(-60.0, -30.0, 0.0, 30.0, 60.0)[angle - 1],
        elapsed_s=total_s,
        planned_s=300.0,
        dose_e_per_A2=SHOWER_DOSE * total_s / 300.0,
        size_nm=165.0 * (1 + 0.05 * math.exp(-total_s / 90)) if measured else None,
        angle=angle,
        angles=5,
        angle_elapsed_s=elapsed_s,
        angle_planned_s=60.0,
        drift_nm=drift_nm if finished else None,
        drift_nm_per_s=drift_nm / 62.0 if finished else None,
    )


def series(name: SeriesName, upto: int | None = None) -> Iterator[Event]:
    """Yield a series up to a number of tilts, with the live results of processing."""
    tilts = TILTS_A if name == "A" else TILTS_B
    before = SHOWER_DOSE + (0.0 if name == "A" else DOSE_PER_TILT * len(TILTS_A))
    rng = np.random.default_rng(7)
    yield PhaseStarted(phase=Phase(name))
    yield StateChanged(state=State.RUNNING)
    yield BeamChanged(blanked=False, current_pA=70.0)
    for i, alpha in enumerate(tilts[:upto]):
        shift = float(rng.normal(0.0, 0.5)), float(rng.normal(0.0, 0.5))
        if i == 36:
            yield Alerted(
                level=Level.WARNING,
                text="frame is off the centre by 4.1 px, limit 4.0: retaking it",
                where=f"{name}#37",
            )
        frame = recorded_frame(
            name,
            i + 1,
            nominal_deg=alpha,
            mean_counts=412.0 + float(rng.normal(0.0, 9.0)),
            shift_px=shift,
            retakes=int(i == 36),
        )
        yield frame_event(
            frame,
            planned=len(tilts),
            dose_e_per_A2=before + DOSE_PER_TILT * (i + 1),
            left_s=(len(tilts) - 1 - i) * 4.7,
        )
        residual = 0.42 + 0.0035 * abs(alpha) + abs(float(rng.normal(0.0, 0.06)))
        yield TiltJudged(
            series=name, tilt_number=i + 1, section=i, residual_px=residual, shift_px=shift
        )
        if i >= 15 and i % 8 == 7:
            n = round(PARTICLES[name] * (1 - 0.9 * math.exp(-i / 14)))
            yield Counted(
                which=name,
                n=n,
                n_low=n - INTERVAL[name] - 900 // i,
                n_high=n + INTERVAL[name] + 900 // i,
                tilts_used=i + 1,
                live=True,
                diameter_nm=6.3,
            )
            left, more = len(tilts) - 1 - i, PARTICLES[name] - n
            word = "settled" if (settled := more < 70) else "not settled"
            yield Advised(
                series=name,
                topic="convergence",
                text=f"count {word}: the last {left} tilts would change it by {more:+d}",
                ok=settled,
            )


def reconstructed(name: SeriesName) -> Iterator[Event]:
    """Yield the final count of a series."""
    for fraction in (0.1, 0.5, 1.0):
        yield ProcessingProgressed(job=name, stage="SIRT", fraction=fraction)
    n = PARTICLES[name]
    yield Counted(
        which=name,
        n=n,
        n_low=n - INTERVAL[name],
        n_high=n + INTERVAL[name],
        tilts_used=73,
        live=False,
        diameter_nm=6.3,
        final_residual_px=0.012,
    )


def flip() -> Iterator[Event]:
    """Yield the events up to the open flip prompt."""
    yield PhaseFinished(phase=Phase.A)
    yield PhaseStarted(phase=Phase.FLIP)
    yield BeamChanged(blanked=True, current_pA=70.0)
    yield Checked(name="beam", ok=True, detail="blanked")
    stage = "at zero: alpha +0.00°, x +0, y +0, z +0 nm"
    yield Checked(name="stage", ok=True, detail=stage)
    yield Checked(name="column valves", ok=True, detail="closed")
    yield StateChanged(state=State.WAITING, reason="for the grid to be flipped")
    yield PromptOpened(prompt=FLIP_PROMPT)


def flipped() -> Iterator[Event]:
    """Yield the answer to the prompt and an accepted flip check."""
    yield PromptAnswered(prompt_id="flip", value="done", by="operator")
    yield StateChanged(state=State.RUNNING)
    yield Checked(name="vacuum", ok=True, detail="good")
    yield Checked(name="column valves", ok=True, detail="open")
    yield Checked(name="drift", ok=True, detail="0.11 nm/s, limit 0.5")
    yield Checked(name="height", ok=True, detail="stage moved -42 nm")
    yield Checked(name="focus", ok=True, detail="at +8 nm")
    yield FlipChecked(
        flipped_score=0.87,
        same_side_score=0.22,
        in_plane_deg=71.0,
        runner_up_score=0.34,
        seat_deg=1.2,
        offset_nm=(3.0, 4.0),
        shrinkage=0.004,
        signal_ratio=1.02,
        accepted=True,
        found="flipped, turned by 71 degrees in the plane",
    )
    yield PhaseFinished(phase=Phase.FLIP)


def flip_refused() -> Iterator[Event]:
    """Yield the answer to the prompt and a refused flip check."""
    yield PromptAnswered(prompt_id="flip", value="done", by="operator")
    yield SAME_SIDE_UP
    yield PromptOpened(prompt=FLIP_CHECK_PROMPT)


def fuse(upto: float = 1.0) -> Iterator[Event]:
    """Yield the fusion up to a fraction of the job."""
    yield PhaseFinished(phase=Phase.B)
    yield PhaseStarted(phase=Phase.FUSE)
    yield BeamChanged(blanked=True, current_pA=70.0)
    for fraction in np.arange(0.1, upto + 0.001, 0.1):
        stage = "registration" if fraction < 0.45 else "Haar fusion" if fraction < 0.8 else "SSR"
        yield ProcessingProgressed(job="fuse", stage=stage, fraction=min(1.0, float(fraction)))
    if upto >= 1.0:
        n = PARTICLES["fused"]
        yield Counted(
            which="fused",
            n=n,
            n_low=n - INTERVAL["fused"],
            n_high=n + INTERVAL["fused"],
            tilts_used=147,
            live=False,
            diameter_nm=6.3,
        )


def report() -> Iterator[Event]:
    """Yield the last events."""
    yield PhaseFinished(phase=Phase.FUSE)
    yield PhaseStarted(phase=Phase.REPORT)
    yield ReportWritten(path="report.html")
    yield PhaseFinished(phase=Phase.REPORT)
    yield StateChanged(state=State.FINISHED)


def whole(folder: Path) -> Iterator[Event]:
    """Yield all events of the session."""
    yield started(folder)
    yield from preflight()
    yield from shower()
    yield PhaseFinished(phase=Phase.SHOWER)
    yield from series("A")
    yield from flip()
    yield from reconstructed("A")
    yield from flipped()
    yield from series("B")
    yield from reconstructed("B")
    yield from fuse()
    yield from report()


def records(events: Iterator[Event], start: int = 0) -> list[Record]:
    """Return the events with sequence numbers and times one second apart."""
    return [Record(seq=start + i, at=_at(start + i), event=event) for i, event in enumerate(events)]


def _at(second: int) -> str:
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    return f"2026-01-22T{19 + hours:02d}:{minutes:02d}:{seconds:02d}.000+01:00"


@cache
def picture(side_px: int = 176, turn_deg: float = 0.0, blur_below: bool = False) -> Picture:
    """Return an image like a projection or slice of an assembly of spheres: [y, x], uint8."""
    rng = np.random.default_rng(11)
    spacing = side_px / 24
    centres = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 2), axis=-1).reshape(-1, 2) * spacing
    centres[:, 0] += (np.round(centres[:, 1] / spacing) % 2) * spacing / 2
    turn = math.radians(turn_deg)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    centres = centres @ rotation.T + rng.normal(0.0, 0.05 * spacing, centres.shape)
    centres = centres[np.hypot(*centres.T) < 0.40 * side_px]
    y, x = np.mgrid[:side_px, :side_px] - (side_px - 1) / 2
    image = np.zeros((side_px, side_px))
    for cx, cy in centres:
        radius_sq = ((x - cx) ** 2 + (y - cy) ** 2) / (0.42 * spacing) ** 2
        image += np.sqrt(np.clip(1.0 - radius_sq, 0.0, None))
    if blur_below:
        below = np.cumsum(image, axis=0) / np.arange(1, side_px + 1)[:, None]
        image = np.where(y < 0, 0.4 * image + 0.6 * below, image)
    noisy = image * 170 + 18 + rng.normal(0.0, 9.0, image.shape)
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    pixels.setflags(write=False)
    return pixels


def pictures() -> dict[str, tuple[Picture, str]]:
    """Return an image and a caption for each view."""
    return {
        "frame": (picture(176, 8.0), "frame A#41 +10.0°"),
        "slice-A": (picture(176, 0.0, blur_below=True), "A: x-z through the middle"),
        "slice-B": (picture(176, 4.0, blur_below=True), "B: x-z through the middle"),
        "slice-fused": (picture(176, 0.0), "fused: x-z through the middle"),
        "slice-difference": (picture(176, 30.0), "B - A"),
        "check-B": (picture(176, 12.0), "B at 0°, now"),
    }


def write_previews(folder: Path) -> Iterator[Event]:
    """Write an image for each view and yield its event."""
    (folder / "previews").mkdir(parents=True, exist_ok=True)
    for view, (pixels, caption) in pictures().items():
        path = Path("previews", f"{view}.npy")
        np.save(folder / path, pixels)
        yield PreviewReady(view=view, path=path.as_posix(), caption=caption, pixel_nm=PIXEL_NM)
