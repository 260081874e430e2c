"""Figures of the report as files, and one page for the lab book."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from controller.report.html import number
from controller.report.intervals import interval
from controller.report.open_volumes import NAMES, VolumeName
from controller.report.plots import (
    COLOURS,
    INK,
    STYLE,
    counts_figure,
    curves_figure,
    draw_curves,
)
from controller.report.report_data import ReportData
from controller.report.resolution_section import resolution_figure
from controller.report.slices import EXITS, HEADINGS, Scene, exit_lines, open_scene, side_plane
from controller.report.structure_plots import correlations_figure, layers_figure
from controller.report.title import session_verdict
from controller.report.views.assembly import Assembly, read_assembly
from controller.report.views.isosurface_stills import (
    draw_exit,
    draw_isosurface,
    first_hits,
    legend_of_exit,
)
from controller.report.views.isosurfaces import (
    CoarseVolume,
    as_bytes,
    coarse_volumes,
    exit_surfaces,
    level_of_particles,
)
from controller.report.views.stills import draw_particles, draw_scale, legend_of_series
from controller.report.volumes import Floats

A4_IN = (8.27, 11.69)
EXIT_COLOUR = "#ff9d3b"
FORMATS = ("png", "svg")
DPI = 200


def figure_files(data: ReportData) -> dict[str, bytes]:
    """Return the content of each figure file by its name; data that are missing have no figure."""
    return panel_files(data, _FIGURES) | {"lab-book.pdf": as_file(_lab_book_page(data), "pdf")}


def panel_files(data: ReportData, names: Iterable[str]) -> dict[str, bytes]:
    """Return the files of some of the figures, without the page for the lab book."""
    return {
        f"{name}.{form}": as_file(page, form)
        for name in names
        if (page := _FIGURES[name](data)) is not None
        for form in FORMATS
    }


def as_file(page: Figure, form: str) -> bytes:
    """Return the content of a figure's file, without a date."""
    content = io.BytesIO()
    when = {"svg": "Date", "pdf": "CreationDate"}.get(form)
    with mpl.rc_context(STYLE):
        page.savefig(content, format=form, dpi=DPI, metadata={when: None} if when else None)
    return content.getvalue()


def _particles_figure(data: ReportData) -> Figure | None:
    assembly = read_assembly(data)
    if assembly is None:
        return None
    page = Figure(figsize=(3.4 * len(assembly.tables), 3.7), layout="constrained")
    _draw_assembly(page, assembly)
    return page


def _draw_assembly(page: FigureBase, assembly: Assembly) -> None:
    headings = {str(name): title for name, title in HEADINGS.items()}
    axes = page.subplots(1, len(assembly.tables), squeeze=False)[0]
    for axis, (name, bodies) in zip(axes, assembly.tables.items(), strict=True):
        draw_particles(axis, assembly, name)
        for discs in axis.collections:
            discs.set_rasterized(True)  # thousands of paths are slow in every program
        draw_scale(axis, assembly.reach_nm)
        _head(axis, name, f"{headings[name]}: {number(int(bodies.counted.sum()))} particles")
    if any(assembly.seen_by.values()):
        dots = legend_of_series()
        page.legend(
            handles=dots, loc="outside lower center", ncols=len(dots), fontsize=7.5, frameon=False
        )


def _isosurfaces_figure(data: ReportData) -> Figure | None:
    assembly = read_assembly(data)
    coarse = coarse_volumes(data, assembly) if assembly else {}
    if assembly is None or not coarse:
        return None
    page = Figure(figsize=(3.4 * len(coarse), 4.3), layout="constrained")
    _draw_isosurfaces(page, assembly, coarse)
    return page


def _draw_isosurfaces(
    page: FigureBase, assembly: Assembly, coarse: dict[VolumeName, CoarseVolume]
) -> None:
    axes = page.subplots(1, len(coarse), squeeze=False)[0]
    exits = exit_surfaces(coarse, assembly.diameter_nm)
    any_table = next(iter(assembly.tables.values()))
    for axis, (name, volume) in zip(axes, coarse.items(), strict=True):
        filled_nm3 = assembly.tables.get(name, any_table).filled_nm3
        level = level_of_particles(as_bytes(volume.values), volume.step_nm, filled_nm3)
        hits = first_hits(volume, level, assembly)
        draw_isosurface(axis, hits, assembly)
        if name in exits:
            draw_exit(axis, exits[name], hits, assembly, EXITS[name])
        _head(axis, name, HEADINGS[name])
    if exits:
        known = [legend_of_exit()]
        page.legend(handles=known, loc="outside lower center", fontsize=7.5, frameon=False)


def _slices_figure(data: ReportData) -> Figure | None:
    with open_scene(data) as scene:
        if scene is None:
            return None
        page = Figure(figsize=(3.4 * len(scene.sirt), 3.7), layout="constrained")
        draw_slices(page, scene)
    return page


def draw_slices(page: FigureBase, scene: Scene, off_middle_nm: float = 0.0) -> None:
    """Draw an x-z slice of each volume side by side, with the exit surfaces.

    `off_middle_nm` is its distance along y from the middle of the particles.
    """
    plane = side_plane(scene, off_middle_nm)
    images = {name: volume.values_on(plane) for name, volume in scene.sirt.items()}
    lines = exit_lines(scene, images)
    axes = page.subplots(1, len(images), squeeze=False)[0]
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        _draw_slice(axis, image, scene.side_nm / 2)
        if lines.get(name):
            axis.plot(*zip(*lines[name], strict=True), color=EXIT_COLOUR, linewidth=1.2)
            _name_exit(axis, EXITS[name])
        _head(axis, name, HEADINGS[name])


def _name_exit(axis: Axes, side: int) -> None:
    """Write what the line is, in the dark corner on the exit side."""
    low = side < 0
    axis.text(
        0.02,
        0.02 if low else 0.98,
        "exit surface",
        transform=axis.transAxes,
        color=EXIT_COLOUR,
        fontsize=7,
        va="bottom" if low else "top",
    )


def _draw_slice(axis: Axes, image: Floats, half_nm: float) -> None:
    axis.imshow(
        image,
        cmap="gray",
        origin="lower",
        vmin=0,
        vmax=max(float(np.percentile(image, 99.7)), 1e-12),
        extent=(-half_nm, half_nm, -half_nm, half_nm),
    )
    axis.grid(visible=False)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("x / nm", fontsize=7.5, labelpad=1)
    axis.set_ylabel("z / nm", fontsize=7.5, labelpad=0)


def _head(axis: Axes, name: str, title: str) -> None:
    axis.set_title(title, fontsize=9, color=COLOURS.get(name, INK), parse_math=False)


def _lab_book_page(data: ReportData) -> Figure:
    with mpl.rc_context(STYLE), open_scene(data) as scene:
        page = Figure(figsize=A4_IN, layout="constrained")
        parts: Any = page.subfigures(4, 1, height_ratios=(1.75, 2.9, 2.9, 4))
        head, slices, particles, lowest = parts
        _write_head(head, data)
        if scene is not None:
            draw_slices(slices, scene)
        assembly = read_assembly(data)
        if assembly is not None:
            _draw_assembly(particles, assembly)
        if curves_figure(data) is not None:
            draw_curves(lowest, data)
        elif assembly is not None and (coarse := coarse_volumes(data, assembly)):
            _draw_isosurfaces(lowest, assembly, coarse)
    return page


def _write_head(head: FigureBase, data: ReportData) -> None:
    protocol = data.protocol
    name = data.status.name or (protocol.name if protocol else data.folder.resolve().name)
    _, word, reason = session_verdict(data)
    when = data.records[0].at[:16].replace("T", " ") if data.records else ""
    specimen = protocol.specimen if protocol else ""
    facts = [specimen, data.status.microscope, when]
    lines = [
        ", ".join(fact for fact in facts if fact),
        f"{word}: {reason}",
        *_count_lines(data),
        *_series_lines(data),
        str(data.folder.resolve()),
    ]
    head.text(0.03, 0.93, name, fontsize=15, weight="bold", va="top", parse_math=False)
    for place, line in enumerate(line for line in lines if line):
        head.text(0.03, 0.72 - 0.1 * place, line, fontsize=8.5, va="top", parse_math=False)


def _count_lines(data: ReportData) -> list[str]:
    counts = data.summary.get("counts") or {}
    return [
        f"{HEADINGS[name]}: {number(counts[name]['n'])} particles, {interval(counts[name])}"
        for name in NAMES
        if counts.get(name)
    ]


def _series_lines(data: ReportData) -> list[str]:
    told = [
        f"{name}: {series['tilts']} tilts, final residual {series['align_rms_px']:.2g} px"
        for name, series in (data.summary.get("series") or {}).items()
    ]
    diameter = (data.summary.get("diameter_nm") or {}).get("value")
    if diameter:
        told.append(f"diameter {diameter:.2f} nm")
    return ["; ".join(told)]


_FIGURES: dict[str, Callable[[ReportData], Figure | None]] = {
    "particles": _particles_figure,
    "isosurfaces": _isosurfaces_figure,
    "slices": _slices_figure,
    "tilts": curves_figure,
    "counts": counts_figure,
    "correlations": correlations_figure,
    "layers": layers_figure,
    "resolution": resolution_figure,
}
