"""Slices of A, B and the fused volume side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from controller.model.fusion_rules import FusionRule
from controller.report.field_of_view import (
    FieldOfView,
    field_of_particles,
    field_of_volume,
    read_centres,
)
from controller.report.html import figure, text
from controller.report.open_volumes import (
    NAMES,
    SIRT_FILES,
    SSR_FILES,
    VolumeName,
    open_volumes,
)
from controller.report.report_data import PROCESSED, ReportData
from controller.report.slice_svg import exit_frame, exit_line, panel, particle_discs
from controller.report.volumes import Floats, Plane, Volume, exit_surface

HEADINGS: dict[VolumeName, str] = {"A": "A", "B": "B, in A’s frame", "fused": "fused"}
EXITS: dict[VolumeName, int] = {"A": -1, "B": 1, "fused": 0}
"""Exit side of the beam at 0 degrees, in the coordinates of A: -1 below, 1 above."""
HEIGHT_FRACTION = 0.72
"""Heights of the top and bottom slices, as fractions of the half thickness."""
DEFAULT_DIAMETER_NM = 6.3
FUSED_BY: dict[str, str] = {
    FusionRule.MASKED: "fused by the rule masked: each Haar detail from the series that shows it "
    "more strongly",
    FusionRule.PAPER: "fused by the rule paper: the signed maximum of each Haar band",
    FusionRule.MEAN: "fused by the rule mean: the mean of both",
    FusionRule.DEPTH_WEIGHTED: "fused by the rule depth-weighted: the mean of both, weighted by "
    "the distance from the side where each beam leaves",
}
"""Words of the caption for each fusion rule."""


@dataclass(frozen=True)
class Scene:
    """Volumes, particles and field of view of the slices."""

    sirt: dict[VolumeName, Volume]
    centres: dict[VolumeName, Volume]
    particles: dict[VolumeName, Floats]
    """Centres [n, (x, y, z)], nm, in the coordinates of A."""
    diameter_nm: float
    side_px: int
    pixel_nm: float
    field: FieldOfView

    @property
    def side_nm(self) -> float:
        """Width of a slice."""
        return self.side_px * self.pixel_nm


def slices(data: ReportData) -> str:
    """Return the figures with side view and top views; empty if there are no volumes."""
    with open_scene(data) as scene:
        return "" if scene is None else _side_view(scene, data) + _top_views(scene)


@contextmanager
def open_scene(data: ReportData) -> Iterator[Scene | None]:
    """Open what the slices show; None without volumes."""
    with open_volumes(data, SIRT_FILES) as sirt, open_volumes(data, SSR_FILES) as centres:
        yield _framed(sirt, centres, data)


def _framed(
    sirt: dict[VolumeName, Volume], centres: dict[VolumeName, Volume], data: ReportData
) -> Scene | None:
    if not sirt:
        return None
    guide = sirt.get("fused") or next(iter(sirt.values()))
    diameter_nm = data.summary.get("diameter_nm", {}).get("value", DEFAULT_DIAMETER_NM)
    tables = {
        name: read_centres(data.folder, f"{PROCESSED}/particles_{name}.csv") for name in NAMES
    }
    particles = {name: table for name, table in tables.items() if len(table)}
    if particles:
        table = particles.get("fused", next(iter(particles.values())))
        field = field_of_particles(table, diameter_nm)
    else:
        field = field_of_volume(guide, diameter_nm)
    side = min(min(guide.shape[1:]), int(np.ceil(field.width_nm / guide.pixel_nm)))
    return Scene(sirt, centres, particles, diameter_nm, side, guide.pixel_nm, field)


def side_plane(scene: Scene, off_middle_nm: float = 0.0) -> Plane:
    """Return the x-z plane at a distance along y from the middle of the particles (nm)."""
    return Plane.xz(scene.side_px, scene.pixel_nm, scene.field.middle_y_nm + off_middle_nm)


def exit_lines(
    scene: Scene, sirt: Mapping[VolumeName, Floats]
) -> dict[VolumeName, list[tuple[float, float]]]:
    """Return the exit surface (x, z) of A and B in their x-z slices, nm."""
    return {
        name: exit_surface(image, scene.pixel_nm, scene.diameter_nm, EXITS[name])
        for name, image in sirt.items()
        if EXITS[name]
    }


def _side_view(scene: Scene, data: ReportData) -> str:
    plane = side_plane(scene)
    sirt = {name: volume.values_on(plane) for name, volume in scene.sirt.items()}
    lines = exit_lines(scene, sirt)
    rows = [
        _row(
            "SIRT",
            "",
            sirt,
            scene,
            marks={n: exit_line(line, scene.side_nm) for n, line in lines.items()},
        ),
        _row("SSR", "spheres of one size", _spheres(scene, plane), scene),
        _row(
            "Particles",
            "as counted",
            {name: np.zeros((1, 1), np.float32) for name in scene.particles},
            scene,
            marks={
                name: particle_discs(
                    table, scene.side_nm, scene.diameter_nm, scene.field.middle_y_nm
                )
                for name, table in scene.particles.items()
            },
        ),
    ]
    caption = (
        "x–z slice across the tilt axis. The electron source of series A is above. SIRT: "
        "simultaneous iterative reconstruction technique. SSR: sparse sphere reconstruction, whose "
        "spheres have one size."
    )
    if any(lines.values()):
        caption += (
            " The orange line is the <b>exit surface</b> of a series, where the beam leaves the "
            "assembly: below in A, above in B. There the particles of a single series are blurred."
        )
    rule = FUSED_BY.get((data.summary.get("fusion") or {}).get("rule", ""))
    if "fused" in sirt and rule:
        caption += f" Fused volume: {rule}. Its particles come from the images of both series."
    return figure(_grid(rows, scene), caption)


def _top_views(scene: Scene) -> str:
    field = scene.field
    middle = (field.low_nm + field.high_nm) / 2
    half = HEIGHT_FRACTION * (field.high_nm - field.low_nm) / 2
    rows = []
    for where, z_nm, side in (("top", middle + half, 1), ("bottom", middle - half, -1)):
        plane = Plane.xy(scene.side_px, scene.pixel_nm, z_nm)
        sirt = {name: volume.values_on(plane) for name, volume in scene.sirt.items()}
        tags = {name: exit_frame(scene.side_nm) for name in sirt if EXITS[name] == side}
        height = f"{where}, z = {z_nm:+.0f} nm".replace("-", "−")
        rows.append(_row("SIRT", height, sirt, scene, tags))
        rows.append(_row("SSR", height, _spheres(scene, plane), scene, tags))
    caption = (
        "x–y slices near the top and the bottom. "
        "A frame marks a slice on the exit side of its series."
    )
    return figure(_grid(rows, scene), caption)


def _spheres(scene: Scene, plane: Plane) -> dict[VolumeName, Floats]:
    return {
        name: volume.spheres_on(plane, scene.diameter_nm) for name, volume in scene.centres.items()
    }


def _grid(rows: list[str], scene: Scene) -> str:
    names = _columns(scene)
    heads = "".join(f'<div class="col of-{name}">{text(HEADINGS[name])}</div>' for name in names)
    style = f"--columns: {len(names)}"
    return f'<div class="slices" style="{style}"><div></div>{heads}{"".join(rows)}</div>'


def _columns(scene: Scene) -> list[VolumeName]:
    return [name for name in NAMES if name in scene.sirt]


def _row(
    title: str,
    note: str,
    images: dict[VolumeName, Floats],
    scene: Scene,
    marks: dict[VolumeName, str] | None = None,
) -> str:
    head = f'<div class="row"><b>{title}</b>{text(note)}</div>'
    cells = [
        panel(
            images[name],
            scene.side_nm,
            f"{title} {HEADINGS[name]} {note}",
            (marks or {}).get(name, ""),
        )
        if name in images
        else '<div class="none">no volume</div>'
        for name in _columns(scene)
    ]
    return head + "".join(cells)
