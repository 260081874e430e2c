"""Delay of the live view and live count while a whole series is recorded in real time.

The session runs as an operator starts it: bridge, session and processing are separate processes on
the same cores, and the simulator runs in real time. All times are read from the session's events;
`python -m tests.benchmarks.bench_live SESSION` reads those of any session. The peer is the method
of other programs: reconstruct all frames again after each new frame.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from controller.model.events import RECORD, Counted, FrameRecorded, PreviewReady, Record
from controller.model.frames import RecordedFrame
from processing.reconstruct.fbp import fbp_series
from processing.series import TiltSeries
from tests.benchmarks.data import A_DEG
from tests.benchmarks.row import Row

SLICES_MEDIAN_S, SLICES_WORST_S = 1.0, 3.0
COUNT_S, FINAL_S = 15.0, 60.0
PATIENCE_S = 900.0
PROTOCOL = """
name = "live"
[column]
kind = "simulator"
simulator_settings = "simulator.toml"
[scan]
width_px = {side}
height_px = {side}
pixel_nm = {pixel_nm}
dwell_us = 5.0
[shower]
enabled = false
[tracking]
settle_s = 0.5
"""
SIMULATOR = 'seed = 5\ntime = "real"\n'


@dataclass(frozen=True)
class Log:
    """Delays and counts read from a series' events."""

    slices_s: list[float]
    """[frame], time from the frame on disk to a slice that includes it."""
    counts_s: list[float]
    """[count], time from the newest frame included to the live count."""
    final_s: float
    """Time from the last frame to the final count."""
    live: Counted
    """Last live count."""
    final: Counted


def run() -> list[Row]:
    """Record one series A of 400 x 400 pixels and one of 208 x 208."""
    fine, coarse = recorded(400, 0.48), recorded(208, 0.92)
    anew_s = _anew_s(400)
    peer = "all tilts anew"
    for side, log in ((400, fine), (208, coarse)):
        live, final = log.live, log.final
        print(
            f"  {side} px: live {live.n} ({live.n_low} to {live.n_high}) after {live.tilts_used} "
            f"tilts, final {final.n} ({final.n_low} to {final.n_high})"
        )
    median_s, worst_s = statistics.median(fine.slices_s), max(fine.slices_s)
    off = abs(coarse.live.n / coarse.final.n - 1)
    return [
        Row("frame to slices, 400^3, median", median_s, peer, anew_s, None, SLICES_MEDIAN_S, "s"),
        Row("frame to slices, 400^3, worst", worst_s, peer, anew_s, None, SLICES_WORST_S, "s"),
        Row("frame to count, 400 px", max(fine.counts_s), peer, anew_s, None, COUNT_S, "s"),
        Row("frame to count, 208 px", max(coarse.counts_s), peer, anew_s, None, COUNT_S, "s"),
        Row("last frame to final count, 208^3", coarse.final_s, peer, anew_s, None, FINAL_S, "s"),
        Row("live count off the final, 208 px", 100 * off, "the final", 100.0, 0.02, None, "%"),
    ]


def recorded(side: int, pixel_nm: float) -> Log:
    """Record and process one series A; stop the session after its final count."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "live.toml").write_text(PROTOCOL.format(side=side, pixel_nm=pixel_nm))
        (folder / "simulator.toml").write_text(SIMULATOR)
        out = folder / "session"
        verb = [sys.executable, "-m", "controller.app.cli.main"]
        session = subprocess.Popen(
            [*verb, "run", str(folder / "live.toml"), "--headless", "--out", str(out)],
            stdout=subprocess.DEVNULL,
        )
        try:
            return read(_until_counted(out, session))
        finally:
            subprocess.run([*verb, "stop", str(out), "--when", "now"], check=False)
            session.wait(timeout=60)


def _until_counted(out: Path, session: subprocess.Popen[bytes]) -> list[Record]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and session.poll() is None:
        records = list(_records(out / "events.jsonl"))
        if any(isinstance(r.event, Counted) and not r.event.live for r in records):
            time.sleep(5)  # a live count may still come
            return list(_records(out / "events.jsonl"))
        time.sleep(2)
    raise RuntimeError(f"the series was not counted within {PATIENCE_S:g} s")


def _records(path: Path) -> Iterator[Record]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield RECORD.validate_python(json.loads(line))
            except ValueError:
                return  # incomplete line


def read(records: list[Record]) -> Log:
    """Read the delays from the events of a series A."""
    frames: list[float] = []
    slices: dict[int, float] = {}
    counts: list[tuple[Counted, float]] = []
    for record in records:
        at_s = datetime.fromisoformat(record.at).timestamp()
        match record.event:
            case FrameRecorded(frame=RecordedFrame(series="A")):
                frames.append(at_s)
            case PreviewReady(view="slice-A", caption=caption) if "tilts" in caption:
                slices.setdefault(int(caption.split()[2]), at_s)
            case Counted(which="A") as count:
                counts.append((count, at_s))
    shown_s = [
        min(at_s for tilts, at_s in slices.items() if tilts > index) - frame_s
        for index, frame_s in enumerate(frames)
        if any(tilts > index for tilts in slices)
    ]
    live = [(count, at_s) for count, at_s in counts if count.live]
    final, final_at_s = next((count, at_s) for count, at_s in counts if not count.live)
    counts_s = [at_s - frames[min(count.tilts_used, len(frames)) - 1] for count, at_s in live]
    return Log(shown_s, counts_s, final_at_s - frames[-1], live[-1][0], final)


def _anew_s(side: int) -> float:
    images = np.zeros((len(A_DEG), side, side), np.float32)
    before = time.perf_counter()
    fbp_series(TiltSeries(images, A_DEG, 1.0))
    return time.perf_counter() - before


if __name__ == "__main__":
    log = read(list(_records(Path(sys.argv[1]) / "events.jsonl")))
    print(f"frame to slices, s: median {statistics.median(log.slices_s):.2f}", end=", ")
    print(f"worst {max(log.slices_s):.2f}; frame to count, s: {max(log.counts_s):.1f} at most")
    print(f"live {log.live.n}, final {log.final.n}, {log.final_s:.1f} s after the last frame")
