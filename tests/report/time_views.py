"""Time to write and to open a report with views: `python -m tests.report.time_views [PARTICLES]`.

Prints CPU seconds, which other work on the machine changes little, and elapsed seconds. A view is
drawn when its picture is complete: the page can say so earlier, since graphics lag behind it. The
report is opened when the browser has started and is at rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from controller.report.report_data import read_report_data
from controller.report.views.page_parts import views
from controller.report.write import write_report
from processing.files.mrc import write_volume
from processing.files.particles import ParticleTable, write_csv
from processing.series import Float32
from tests.report.test_views_in_browser import CHOOSE
from tests.web.browser import CHROMIUM, SOFTWARE_GRAPHICS, Page, open_page

PARTICLES = 15_000
SPACING_NM, DIAMETER_NM = 7.5, 6.3
VOLUME_SIDE, VOXEL_NM, NOISE = 200, 1.2, 0.1
READABLE = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
DRAWN = "document.getElementById('views')?.dataset.state === 'drawn'"
READ_A_PIXEL = """document.querySelectorAll('#views canvas').forEach((canvas) => {
  const gl = canvas.getContext('webgl2');
  gl?.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
})"""
"""Waits until graphics have done all that they were told."""
GRAPHICS = "--type=gpu-process"
IDLE_CPU_S = 0.02
"""Largest CPU time of an idle browser in half a second."""
OTHER_VIEWS = ("isosurface, fused", "isosurfaces side by side")


def make_folder(folder: Path, n: int) -> None:
    """Write a ball of `n` particles as tables and volumes of A, B and both."""
    rng = np.random.default_rng(1)
    reach = SPACING_NM * n ** (1 / 3)
    grid = np.arange(-reach, reach, SPACING_NM)
    sites = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    sites = sites[np.argsort(np.linalg.norm(sites, axis=1))[:n]]
    sizes = np.full(n, DIAMETER_NM)
    (folder / "processed").mkdir()
    spheres = spheres_on_grid(grid[0], float(np.linalg.norm(sites[-1])))
    for name, volume in (("A", "A_sirt"), ("B", "B_registered"), ("fused", "fused")):
        centres = sites + rng.normal(0, 0.2, sites.shape)
        table = ParticleTable(centres, sizes, rng.uniform(0.8, 1, n))
        write_csv(folder / "processed" / f"particles_{name}.csv", table)
        noise = NOISE * rng.standard_normal(spheres.shape, np.float32)
        write_volume(folder / "processed" / f"{volume}.mrc", spheres + noise, VOXEL_NM)
    counts = {"fused": {"n": n, "n_low": n - 5, "n_high": n + 5}}
    (folder / "processed" / "summary.json").write_text(json.dumps({"counts": counts}))


def spheres_on_grid(first_nm: float, reach_nm: float) -> Float32:
    """Return a volume of spheres on a cubic grid, within a ball."""
    edge = (np.arange(VOLUME_SIDE, dtype=np.float32) - (VOLUME_SIDE - 1) / 2) * VOXEL_NM
    beside = (edge - first_nm + SPACING_NM / 2) % SPACING_NM - SPACING_NM / 2
    from_sphere, from_middle = (
        np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) for axis in (beside, edge)
    )
    inside = np.clip((DIAMETER_NM / 2 - from_sphere) / VOXEL_NM + 0.5, 0, 1)
    return np.where(from_middle < reach_nm + DIAMETER_NM / 2, inside, 0)


async def drawn(page: Page) -> None:
    """Wait until the view is complete."""
    await page.until(DRAWN, 120.0)
    await page.evaluate(READ_A_PIXEL)


async def open_report(report: Path, profile: Path) -> dict[str, float]:
    """Open a report in Chromium without a graphics card; return its times, s."""
    async with open_page("about:blank", profile, (1280, 900), SOFTWARE_GRAPHICS) as page:
        await page.call("Performance.enable", timeDomain="threadTicks")
        await at_rest(profile)
        before = cpu_s(profile, GRAPHICS)
        start = time.monotonic()
        await page.call("Page.navigate", url=report.as_uri())
        await page.until(READABLE, 120.0)
        readable = await page.evaluate(READABLE) / 1000
        await page.evaluate("document.getElementById('views').scrollIntoView()")
        await drawn(page)
        times = {
            "elapsed until the page can be read": readable,
            "elapsed until the particles are drawn": time.monotonic() - start,
        }
        metrics = (await page.call("Performance.getMetrics"))["metrics"]
        times["CPU of the page"] = next(m["value"] for m in metrics if m["name"] == "TaskDuration")
        times["CPU of the software that draws"] = cpu_s(profile, GRAPHICS) - before
        for view in OTHER_VIEWS:
            start = time.monotonic()
            await page.evaluate(CHOOSE % (json.dumps("Show"), json.dumps(view)))
            await drawn(page)
            times[f"elapsed, {view}"] = time.monotonic() - start
        return times


async def at_rest(profile: Path) -> None:
    """Wait until the browser is idle: its own start takes two seconds of CPU."""
    before, now = 0.0, cpu_s(profile)
    while now - before >= IDLE_CPU_S:
        await asyncio.sleep(0.5)
        before, now = now, cpu_s(profile)


def cpu_s(profile: Path, kind: str = "") -> float:
    """Return the CPU time of the browser's processes with `kind` in their arguments (Linux)."""
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            command = (process / "cmdline").read_bytes().decode()
            if kind in command and str(profile) in command:
                fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the times of one report."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else PARTICLES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder, n)
        write_report(folder)  # imports and caches
        data = read_report_data(folder)
        start = time.process_time()
        views(data)
        print(f"{n} particles: views written in {time.process_time() - start:.2f} s of CPU")
        report = write_report(folder)
        print(f"report.html: {report.stat().st_size / 1e6:.1f} MB")
        if CHROMIUM is None:
            print("no Chromium: not opened")
            return
        for what, seconds in asyncio.run(open_report(report, folder / "profile")).items():
            print(f"{what}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
