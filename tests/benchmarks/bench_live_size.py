"""Delay of slices and live counts behind frames of 1024 x 1024 and 2048 x 2048 pixels.

The frames of a simulated series are announced to the processing children at the pace of a session,
without a microscope: `SECONDS_PER_FRAME` is shorter than exposure, tilt and settling take. The peer
is the limit itself. `python -m tests.benchmarks.bench_live_size SIDE FOLDER [SERIES]` measures one
series of one size. Series B is counted alone and together with the final result of A, which the
folder keeps.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from controller.model.base import SeriesName
from controller.model.events import Alerted, Counted, Event, PreviewReady, ProcessingFailed
from controller.worker.supervisor import Supervisor
from processing import ProcessSettings, load_tilt_series, process_series, write_series_result
from processing.files.section import read_section
from processing.pipeline.results_folder import PROCESSED, read_record
from tests.benchmarks.data import A_DEG, B_DEG
from tests.benchmarks.large_series import SCANS, write_series
from tests.benchmarks.row import Row
from tests.support.frames import recorded_frame

SIDES = (1024, 2048)
ANGLES_DEG = {"A": A_DEG, "B": B_DEG}
SECONDS_PER_FRAME = 4.0
SLICES_S, COUNT_S = 1.0, 15.0
LAST_COUNT_S = 60.0
PROTOCOL = """
name = "live"
[scan]
width_px = {side}
height_px = {side}
pixel_nm = {pixel_nm}
dwell_us = {dwell_us}
"""


@dataclass
class Delays:
    """Delays of one series, noted as the events come.

    Attributes
    ----------
    images_of_a
        Images of the other series in a count of both.
    """

    series: SeriesName
    images_of_a: int
    announced_s: list[float] = field(default_factory=list)
    slices_s: dict[int, float] = field(default_factory=dict)
    """First slice that includes this number of tilts, and its delay."""
    counts: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    """Tilts of this series, particles and delay, for the series alone and for both."""
    failed: list[str] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Note slices, counts, failures and alerts."""
        now_s = time.monotonic()
        match event:
            case PreviewReady(view=view, caption=caption) if (
                view == f"slice-{self.series}" and "tilts" in caption
            ):
                tilts = int(caption.split()[2])
                self.slices_s.setdefault(tilts, now_s - self.announced_s[tilts - 1])
            case Counted(which=which) as count:
                tilts = count.tilts_used - self.images_of_a * (which == "fused")
                delay_s = now_s - self.announced_s[tilts - 1]
                self.counts.setdefault(which, []).append((tilts, count.n, round(delay_s, 2)))
            case ProcessingFailed(reason=reason):
                self.failed.append(reason)
            case Alerted(text=text, where=where):
                self.failed.append(f"{where}: {text}")
            case _:
                pass


def run() -> list[Row]:
    """Measure both sizes."""
    rows = []
    for side in SIDES:
        with tempfile.TemporaryDirectory() as name:
            rows += measured(side, Path(name))
    return rows


def measured(side: int, folder: Path, series: SeriesName = "A") -> list[Row]:
    """Feed a series of a folder to the children; simulate it if need be."""
    write_series(side, folder)
    # on the same disk, for hard links: sessions follow no symbolic link
    with tempfile.TemporaryDirectory(dir=folder) as name:
        session = Path(name)
        (session / f"{series}.mrc").hardlink_to(folder / f"{series}.mrc")
        images_of_a = 0 if series == "A" else _link_result_of_a(folder, session)
        delays, cpu_s = _feed(side, session, Delays(series, images_of_a))
    if delays.failed or not delays.counts:
        raise AssertionError(
            f"{side} px: {len(delays.counts)} live counts, {len(delays.slices_s)} slices; "
            f"alerts: {delays.failed}"
        )
    slices_s = list(delays.slices_s.values())
    median_s, longest_s = statistics.median(slices_s), max(slices_s)
    print(
        f"  {side} px: {len(slices_s)} slices of {len(delays.announced_s)} frames, CPU s {cpu_s}, "
        f"slowest slices (tilts, delay s) {_slowest(delays.slices_s)}, "
        f"counts (tilts, particles, delay s) {delays.counts}",
        flush=True,
    )
    name = f"{side} px, series {series}, a frame each {SECONDS_PER_FRAME:g} s"
    worst_s = {which: max(each[2] for each in counts) for which, counts in delays.counts.items()}
    return [
        Row(f"{name}: slices, median", median_s, "the limit", SLICES_S, 1.0, None, "s"),
        Row(f"{name}: slices, worst", longest_s, "the limit", SLICES_S, 1.0, None, "s"),
        *(
            Row(f"{name}: count of {which}, worst", count_s, "the limit", COUNT_S, 1.0, None, "s")
            for which, count_s in worst_s.items()
        ),
    ]


def _link_result_of_a(folder: Path, session: Path) -> int:
    """Give the session the final result of series A; return its number of images in use."""
    if not (folder / PROCESSED / "A.json").exists():
        print("  processing series A", flush=True)
        series = load_tilt_series(folder / "A.mrc")
        write_series_result(folder, "A", process_series(series, ProcessSettings()))
    (session / PROCESSED).mkdir()
    for path in (folder / PROCESSED).iterdir():
        (session / PROCESSED / path.name).hardlink_to(path)
    return read_record(session, "A").summary.tilts


def _feed(side: int, session: Path, delays: Delays) -> tuple[Delays, dict[str, float]]:
    """Announce all frames; return the delays and the CPU time of each child."""
    angles_deg = ANGLES_DEG[delays.series]
    pixel_nm, dwell_us = SCANS[side]
    protocol = PROTOCOL.format(side=side, pixel_nm=pixel_nm, dwell_us=dwell_us)
    (session / "protocol.toml").write_text(protocol)
    supervisor = Supervisor(session, delays.note)
    try:
        while not all(supervisor.pids.values()):
            time.sleep(0.1)
        time.sleep(5)  # the children load their libraries
        for number, angle_deg in enumerate(angles_deg, start=1):
            # a session has just written the frame, so that it is still in memory
            read_section(session / f"{delays.series}.mrc", number - 1)
            delays.announced_s.append(time.monotonic())
            frame = recorded_frame(delays.series, number, nominal_deg=float(angle_deg))
            supervisor.frame_recorded(frame, len(angles_deg) - number)
            time.sleep(SECONDS_PER_FRAME)
        until_s = time.monotonic() + LAST_COUNT_S
        while time.monotonic() < until_s and not _last_count(delays):
            time.sleep(0.5)
        return delays, {role: _cpu_s(pid) for role, pid in supervisor.pids.items() if pid}
    finally:
        supervisor.close()


def _slowest(slices_s: dict[int, float]) -> list[tuple[int, float]]:
    return sorted(slices_s.items(), key=lambda item: -item[1])[:5]


def _last_count(delays: Delays) -> bool:
    """Tell whether all counts that are due after the last frames are there."""
    due = {delays.series} | ({"fused"} if delays.series == "B" else set())
    tilts = {which: counts[-1][0] for which, counts in delays.counts.items()}
    return all(tilts.get(which, 0) > len(ANGLES_DEG[delays.series]) - 2 for which in due)


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return round((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), 1)


if __name__ == "__main__":
    chosen: SeriesName = "B" if sys.argv[3:] == ["B"] else "A"
    for row in measured(int(sys.argv[1]), Path(sys.argv[2]), chosen):
        print(f"  {row.problem}: {row.shown(row.ours)}, limit {row.shown(row.theirs)}")
