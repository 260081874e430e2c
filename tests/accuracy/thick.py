"""`python -m tests.accuracy.thick [--size NM] [--step DEG] [--packing P] [--pixel NM] FOLDER`.

Simulates both tilt series of a thick assembly, with the tilts of the paper, unless FOLDER holds
them, and processes them from their files. Prints a row of a table for A alone, for B alone and for
both: count with its interval, verdict, F1, rms error of the matched particles in x, y and z,
confidence compared with the share of real particles, CPU seconds and peak memory. A line below each
row has the CPU seconds of each step of processing. With `--controls` there are also counts that
start from the true particles, at the poses found: what is left to win. The exit code is 1 if a
trusted count is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from controller.model.scan import ScanSettings
from processing import (
    ProcessSettings,
    combine_series,
    load_tilt_series,
    process_series,
    write_images,
)
from processing.errors import ProcessingError
from processing.files.rawtlt import write_rawtlt
from processing.pipeline.deformed import deformation_lines
from processing.pipeline.detect import Detection
from processing.results import Trust
from simulator.scoring import score_tables
from simulator.series import simulate_dual
from simulator.settings import Packing, SimulatorSettings
from simulator.specimen import Particles
from tests.accuracy.limits import oracle
from tests.calibration.measure import Array, real_particles, silence_warnings

CURRENT_PA = 70.0
DWELL_US_PER_NM2 = 5.0 / 0.9**2
"""Dwell time over the area of a pixel: the dose of docs/accuracy.md in pixels of all sizes."""
FIRST_DEG, RANGE_DEG = {"A": -70.0, "B": -74.0}, 144.0
"""First tilt of each series, and the range of both."""
MARGIN_NM = 26.0
"""Width of the field beyond the assembly."""
SEED = 901
LEAST_F1 = 0.99
"""F1 below which a trusted count is wrong, whatever its interval."""
TRUTH = "truth.npz"


@dataclass(frozen=True)
class Thick:
    """One thick assembly alone in its field."""

    packing: Packing
    size_nm: float
    step_deg: float
    pixel_nm: float

    def angles_deg(self, series: str) -> Array:
        """Return the tilts of a series."""
        first_deg = FIRST_DEG[series]
        return np.arange(first_deg, first_deg + RANGE_DEG + self.step_deg / 2, self.step_deg)

    def write(self, folder: Path) -> None:
        """Simulate both series and write them with their truth, unless the folder holds them."""
        if (folder / TRUTH).exists():
            return
        side_px = 2 * round((self.size_nm + MARGIN_NM) / self.pixel_nm / 2)
        scan = ScanSettings(
            width_px=side_px,
            height_px=side_px,
            pixel_nm=self.pixel_nm,
            dwell_us=DWELL_US_PER_NM2 * self.pixel_nm**2,
        )
        specimen = {
            "packing": self.packing,
            "assembly_diameter_nm": self.size_nm,
            "other_assemblies_nm": (),
        }
        settings = SimulatorSettings.model_validate(
            {"seed": SEED, "specimen": specimen, "stage": {"tilt_error_deg": 0.15}}
        )
        angles_deg = [self.angles_deg(name) for name in FIRST_DEG]
        dual = simulate_dual(settings, scan, *angles_deg, CURRENT_PA)
        folder.mkdir(parents=True, exist_ok=True)
        for name, series in (("A", dual.a), ("B", dual.b)):
            write_images(folder / f"{name}.mrc", series.counts, self.pixel_nm)
            write_rawtlt(folder / f"{name}.rawtlt", series.reported_deg)
        np.savez(
            folder / TRUTH,
            centres_nm=dual.truth.centres_nm,
            diameters_nm=dual.truth.diameters_nm,
            in_b_nm=dual.truth.centres_nm @ dual.matrix / dual.scale,
        )


@dataclass
class Usage:
    """CPU seconds and peak memory of a part of this process, and the seconds of each step."""

    cpu_s: float = 0.0
    peak_GB: float = 0.0
    steps_s: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak to the present memory
        self._started_s = self._step_s = time.process_time()

    def progress(self, step: str, _share: float) -> None:
        """Add the time since the last call to a step, which has just done a part of its work."""
        now_s = time.process_time()
        self.steps_s[step] += now_s - self._step_s
        self._step_s = now_s

    def finished(self) -> Usage:
        """Return the usage until now; the rest of the time is that after the last step."""
        self.progress("rest", 1.0)
        self.cpu_s = time.process_time() - self._started_s
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak_kB = next(line.split()[1] for line in status.splitlines() if "VmHWM" in line)
        self.peak_GB = int(peak_kB) * 1024 / 1e9
        return self

    @property
    def by_step(self) -> str:
        """Seconds of each step, the longest first."""
        return ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.steps_s.most_common())


def rows(folder: Path, *, controls: bool) -> Iterator[tuple[str, bool]]:
    """Yield lines of text, each with whether it shows a count that is trusted and wrong."""
    with np.load(folder / TRUTH) as stored:
        truth = Particles(stored["centres_nm"], stored["diameters_nm"])
        truth_of = {"A": truth, "B": replace(truth, centres_nm=stored["in_b_nm"])}
    settings, alone = ProcessSettings(), {}
    for name, own_truth in truth_of.items():
        usage = Usage()
        series = load_tilt_series(folder / f"{name}.mrc", name=name)
        try:
            result = process_series(series, settings, progress=usage.progress)
        except ProcessingError as error:
            yield f"| {name} | refused: {error} |", False
            continue
        alone[name] = result
        yield from _lines(name, own_truth, result.detection, usage.finished())
        if controls:
            count = partial(
                oracle.from_true_candidates,
                [(result.aligned, None)],
                own_truth.centres_nm,
                result.detection,
            )
            yield from _control(f"{name}, true candidates", own_truth, count)
    if len(alone) < 2:
        return
    usage = Usage()
    try:
        both = combine_series(alone["A"], alone["B"], settings, progress=usage.progress)
    except ProcessingError as error:
        yield f"| both | refused: {error} |", False
        return
    yield from _lines("both", truth, both.detection, usage.finished())


def _control(
    name: str, truth: Particles, count: Callable[[], Detection | None]
) -> Iterator[tuple[str, bool]]:
    usage = Usage()
    found = count()
    if found is None:
        yield f"| {name} | the count has no place in the frame of the truth |", False
    else:
        yield from _lines(name, truth, found, usage.finished())


def _lines(
    name: str, truth: Particles, found: Detection, usage: Usage
) -> Iterator[tuple[str, bool]]:
    """Yield the row of a count, and the line of its steps."""
    table, count, verdict = found.table, found.count, found.count.verdict
    assert verdict is not None
    score = score_tables(truth, {name: table.centres_nm}).tables[name]
    diameter_nm = float(truth.diameters_nm.mean())
    real = real_particles(truth.centres_nm, table.centres_nm, diameter_nm)
    holds = count.n_low <= len(truth) <= count.n_high
    cells = [
        name,
        f"{count.n} ({count.n_low} to {count.n_high}) of {len(truth)}"
        + ("" if holds else ", **interval misses**"),
        " ".join([verdict.state.value, "; ".join(verdict.reasons)]),
        f"{score.f1:.4f}",
        "/".join(f"{value:.2f}" for value in score.rms_nm or ()),
        f"{table.confidence.mean():.3f}, {real.mean():.3f}" if len(table) else "",
        f"{usage.cpu_s:.0f}",
        f"{usage.peak_GB:.1f}",
    ]
    trusted_and_wrong = verdict.state is Trust.TRUSTED and (not holds or score.f1 < LEAST_F1)
    yield f"| {' | '.join(cells)} |", trusted_and_wrong
    thirds = "/".join(f"{part:.3f}" for part in score.recall_by_depth)
    notes = "; ".join([*deformation_lines(found.deformed), *found.left_out, *found.loose])
    yield f"  {name}: {usage.by_step}; recall by third, exit side first: {thirds}; {notes}", False


def main(arguments: list[str]) -> int:
    """Print the rows of one assembly."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.thick", description=__doc__)
    parser.add_argument("--size", type=float, default=220.0, metavar="NM")
    parser.add_argument("--step", type=float, default=2.0, metavar="DEG")
    parser.add_argument("--packing", type=Packing, default=Packing.FCC)
    parser.add_argument("--pixel", type=float, default=0.8, metavar="NM")
    parser.add_argument("--controls", action="store_true", help="also from the true particles")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="keeps the simulated series")
    chosen = parser.parse_args(arguments)
    silence_warnings()
    Thick(chosen.packing, chosen.size, chosen.step, chosen.pixel).write(chosen.folder)
    wrong = False
    for line, trusted_and_wrong in rows(chosen.folder, controls=chosen.controls):
        print(line, flush=True)
        wrong |= trusted_and_wrong
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
