"""Slices of A, B and the fused volume side by side: why B was recorded."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.image import imsave

from controller.report.facts import Facts
from controller.report.framing import Frame, frame_of_particles, frame_of_volume, read_centres
from controller.report.html import figure, text
from controller.report.volumes import (
    IN_PLACE,
    Floats,
    Plane,
    Pose,
    Volume,
    exit_surface,
)

Name = Literal["A", "B", "fused"]
NAMES: tuple[Name, ...] = ("A", "B", "fused")
HEADINGS: dict[Name, str] = {"A": "A", "B": "B, in A’s frame", "fused": "fused"}
EXITS: dict[Name, int] = {"A": -1, "B": 1, "fused": 0}
"""Side of A's frame through which the beam leaves at 0 degrees: below, above."""
HEIGHT_FRACTION = 0.72
"""Heights of the top and bottom slices, of the way from the middle to either surface."""
DEFAULT_DIAMETER_NM = 6.3


@dataclass(frozen=True)
class Scene:
    """The volumes that are there, and the field that shows the assembly."""

    sirt: dict[Name, Volume]
    centres: dict[Name, Volume]
    particles: dict[Name, Floats]
    """[n, (x, y, z)], nm, in A's frame."""
    diameter_nm: float
    side_px: int
    pixel_nm: float
    frame: Frame

    @property
    def side_nm(self) -> float:
        """Width of a picture."""
        return self.side_px * self.pixel_nm


def slices(facts: Facts) -> str:
    """Both figures; nothing where there are no volumes."""
    with _scene(facts) as scene:
        return "" if scene is None else _side_view(scene) + _top_views(scene)


@contextmanager
def _scene(facts: Facts) -> Iterator[Scene | None]:
    pose = _pose_of_b(facts)
    with ExitStack() as stack:

        def opened(file: str, pose: Pose = IN_PLACE) -> Volume | None:
            volume = _open(facts.processed / file, pose)
            if volume is not None:
                stack.callback(volume.close)
            return volume

        in_place = opened("B_registered.mrc")
        sirt = {"A": opened("A_sirt.mrc"), "B": in_place, "fused": opened("fused.mrc")}
        centres = {"A": opened("A_ssr.mrc"), "fused": opened("fused_ssr.mrc")}
        if pose is not None:
            sirt["B"] = in_place or opened("B_sirt.mrc", pose)
            centres["B"] = opened("B_ssr.mrc", pose)
        yield _framed(_present(sirt), _present(centres), facts)


def _present(volumes: dict[str, Volume | None]) -> dict[Name, Volume]:
    return {name: found for name in NAMES if (found := volumes.get(name)) is not None}


def _open(path: Path, pose: Pose) -> Volume | None:
    try:
        return Volume(path, pose)
    except (OSError, ValueError):
        return None  # missing, or cut short: the report is shorter


def _pose_of_b(facts: Facts) -> Pose | None:
    found = facts.summary.get("registration")
    if not found:
        return None
    return Pose(np.array(found["matrix"]), np.array(found["shift_nm"]), found.get("scale", 1.0))


def _framed(sirt: dict[Name, Volume], centres: dict[Name, Volume], facts: Facts) -> Scene | None:
    if not sirt:
        return None
    guide = sirt.get("fused") or next(iter(sirt.values()))
    diameter_nm = facts.summary.get("diameter_nm", {}).get("value", DEFAULT_DIAMETER_NM)
    tables = {name: read_centres(facts.processed / f"particles_{name}.csv") for name in NAMES}
    particles = {name: table for name, table in tables.items() if len(table)}
    if particles:
        table = particles.get("fused", next(iter(particles.values())))
        frame = frame_of_particles(table, diameter_nm)
    else:
        frame = frame_of_volume(guide, diameter_nm)
    side = min(min(guide.shape[1:]), int(np.ceil(frame.field_nm / guide.pixel_nm)))
    return Scene(sirt, centres, particles, diameter_nm, side, guide.pixel_nm, frame)


def _side_view(scene: Scene) -> str:
    plane = Plane.xz(scene.side_px, scene.pixel_nm, scene.frame.middle_y_nm)
    sirt = {name: volume.on(plane) for name, volume in scene.sirt.items()}
    lines = {
        name: exit_surface(image, scene.pixel_nm, scene.diameter_nm, EXITS[name])
        for name, image in sirt.items()
        if EXITS[name]
    }
    rows = [
        _row("SIRT", "", sirt, scene, marks={n: _line(line, scene) for n, line in lines.items()}),
        _row("SSR", "spheres of one size", _spheres(scene, plane), scene),
        _row(
            "Particles",
            "as counted",
            {name: np.zeros((1, 1), np.float32) for name in scene.particles},
            scene,
            marks={name: _discs(table, scene) for name, table in scene.particles.items()},
        ),
    ]
    caption = "x–z slice across the tilt axis; the electron source of series A is above."
    if any(lines.values()):
        caption += (
            " The orange line is a series’ <b>exit surface</b>, where the beam leaves the "
            "assembly: below in A, above in B. There the particles of a single series blur."
        )
    if "fused" in sirt:
        caption += " The fused volume takes each side from the series that entered through it."
    return figure(_grid(rows, scene), caption)


def _top_views(scene: Scene) -> str:
    frame = scene.frame
    middle = (frame.low_nm + frame.high_nm) / 2
    half = HEIGHT_FRACTION * (frame.high_nm - frame.low_nm) / 2
    rows = []
    for where, z_nm, side in (("top", middle + half, 1), ("bottom", middle - half, -1)):
        plane = Plane.xy(scene.side_px, scene.pixel_nm, z_nm)
        sirt = {name: volume.on(plane) for name, volume in scene.sirt.items()}
        tags = {name: _exit_frame(scene) for name in sirt if EXITS[name] == side}
        height = f"{where}, z = {z_nm:+.0f} nm".replace("-", "−")
        rows.append(_row("SIRT", height, sirt, scene, tags))
        rows.append(_row("SSR", height, _spheres(scene, plane), scene, tags))
    caption = "x–y slices near the top and the bottom, framed where they lie on an exit side."
    return figure(_grid(rows, scene), caption)


def _spheres(scene: Scene, plane: Plane) -> dict[Name, Floats]:
    return {
        name: volume.spheres_on(plane, scene.diameter_nm) for name, volume in scene.centres.items()
    }


def _grid(rows: list[str], scene: Scene) -> str:
    names = _columns(scene)
    heads = "".join(f'<div class="col of-{name}">{text(HEADINGS[name])}</div>' for name in names)
    style = f"--columns: {len(names)}"
    return f'<div class="slices" style="{style}"><div></div>{heads}{"".join(rows)}</div>'


def _columns(scene: Scene) -> list[Name]:
    return [name for name in NAMES if name in scene.sirt]


def _row(
    title: str,
    note: str,
    images: dict[Name, Floats],
    scene: Scene,
    marks: dict[Name, str] | None = None,
) -> str:
    head = f'<div class="row"><b>{title}</b>{text(note)}</div>'
    cells = [
        _panel(images[name], scene, f"{title} {HEADINGS[name]} {note}", (marks or {}).get(name, ""))
        if name in images
        else '<div class="none">not there</div>'
        for name in _columns(scene)
    ]
    return head + "".join(cells)


def _panel(image: Floats, scene: Scene, label: str, marks: str) -> str:
    """One picture in nanometres, +z or +y upwards."""
    side_nm = scene.side_nm
    return (
        f'<svg viewBox="0 0 {side_nm:.1f} {side_nm:.1f}" role="img" aria-label="{text(label)}">'
        f'<image href="{_png(image)}" width="{side_nm:.1f}" height="{side_nm:.1f}" '
        f'preserveAspectRatio="none"/>{_scale_bar(side_nm)}{marks}</svg>'
    )


def _line(points_nm: list[tuple[float, float]], scene: Scene) -> str:
    """The exit surface, and the way the beam takes at 0 degrees."""
    if not points_nm:
        return ""
    half = scene.side_nm / 2
    points = " ".join(f"{x + half:.1f},{half - z:.1f}" for x, z in points_nm)
    downwards = sum(z for _, z in points_nm) < 0
    tip, tail = (0.16, 0.05) if downwards else (0.84, 0.95)
    wing = tip - 0.03 if downwards else tip + 0.03
    x, y, z = (fraction * scene.side_nm for fraction in (0.07, tip, tail))
    reach, back = 0.022 * scene.side_nm, wing * scene.side_nm
    arrow = f"M{x:.1f},{z:.1f} V{y:.1f} M{x - reach:.1f},{back:.1f} L{x:.1f},{y:.1f} "
    arrow += f"L{x + reach:.1f},{back:.1f}"
    word_y = 0.10 if downwards else 0.91
    return f'<polyline points="{points}" {_STROKE}/><path d="{arrow}" {_STROKE}/>' + _word(
        "beam", scene.side_nm, x=0.11, y=word_y, anchor="start"
    )


def _exit_frame(scene: Scene) -> str:
    side_nm = scene.side_nm
    edge = side_nm / 120
    frame = (
        f'<rect x="{edge:.2f}" y="{edge:.2f}" width="{side_nm - 2 * edge:.2f}" '
        f'height="{side_nm - 2 * edge:.2f}" {_STROKE}/>'
    )
    return frame + _word("exit side", side_nm, x=0.04, y=0.085, anchor="start")


def _discs(table: Floats, scene: Scene) -> str:
    """Sections of the spheres that the middle x-z plane cuts."""
    radius, half = scene.diameter_nm / 2, scene.side_nm / 2
    off_plane = table[:, 1] - scene.frame.middle_y_nm
    cut = np.abs(off_plane) < radius
    sections = np.sqrt(radius**2 - off_plane[cut] ** 2)
    circles = "".join(
        f'<circle cx="{x + half:.1f}" cy="{half - z:.1f}" r="{section:.1f}"/>'
        for (x, _, z), section in zip(table[cut], sections, strict=True)
    )
    return f'<g fill="#c9ced3">{circles}</g>'


_STROKE = (
    'fill="none" stroke="#ff9d3b" stroke-width="2" vector-effect="non-scaling-stroke" '
    'stroke-linejoin="round"'
)


def _scale_bar(side_nm: float) -> str:
    length = max(n for n in (5, 10, 20, 50, 100, 200) if n <= side_nm / 3 or n == 5)
    x, y = side_nm * 0.96 - length, side_nm * 0.955
    bar = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{length}" height="{side_nm / 90:.1f}" fill="#fff"/>'
    )
    return bar + _word(f"{length} nm", side_nm, x=0.96, y=0.945, anchor="end")


def _word(word: str, side_nm: float, x: float, y: float, anchor: str) -> str:
    return (
        f'<text x="{x * side_nm:.1f}" y="{y * side_nm:.1f}" font-size="{side_nm / 22:.1f}" '
        f'fill="#fff" stroke="#000" stroke-width="{side_nm / 160:.2f}" paint-order="stroke" '
        f'text-anchor="{anchor}">{text(word)}</text>'
    )


def _png(image: Floats) -> str:
    """Data URI; row 0 of the array is the bottom of the picture."""
    low, high = 0.0, float(np.percentile(image, 99.7))
    grey = np.clip(image / max(high - low, 1e-12), 0, 1)
    buffer = io.BytesIO()
    imsave(buffer, grey, cmap="gray", vmin=0, vmax=1, origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
