"""Pictures of single tilts and of slices, to judge a series once more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from controller.report.figures import draw_slices
from controller.report.plots import LIMIT
from controller.report.report_data import ReportData
from controller.report.slices import open_scene
from controller.report.volumes import Floats

SHEET_COLUMNS = 8
LARGEST_SIDE_PX = 160
"""Width of an image in the contact sheet."""
IGNORED_PERCENT = 0.3
"""Fraction of the pixels at either end that do not set the grey scale."""
PARTICLE_COLOUR = "#36d0ff"


def contact_sheet(
    images: Sequence[NDArray[np.generic]], captions: Sequence[str], left_out: Sequence[bool]
) -> Figure:
    """Return small pictures [y, x] of tilts; captions of images that were left out are red."""
    rows = -(-len(images) // SHEET_COLUMNS)
    page = Figure(figsize=(1.25 * SHEET_COLUMNS, 1.42 * rows))
    axes = page.subplots(rows, SHEET_COLUMNS, squeeze=False).ravel()
    page.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.15 / rows, wspace=0.05)
    for axis in axes:
        axis.set_axis_off()
    for axis, image, caption, bad in zip(axes, images, captions, left_out, strict=False):
        step = -(-max(image.shape) // LARGEST_SIDE_PX)
        _show(axis, np.asarray(image[::step, ::step], np.float32))
        axis.set_title(caption, fontsize=6, pad=2, color=LIMIT if bad else "black")
    return page


def sinogram(images: Floats, angles_deg: NDArray[np.float64], pixel_nm: float) -> Figure:
    """Return the middle row of each aligned image [tilt, y, x], by tilt angle."""
    order = np.argsort(angles_deg)
    rows = np.asarray(images[order, images.shape[1] // 2], np.float32)
    half_nm = images.shape[2] * pixel_nm / 2
    across = np.linspace(-half_nm, half_nm, images.shape[2])
    page = Figure(figsize=(6.5, 5), layout="constrained")
    axis = page.subplots()
    low, high = _greys(rows)
    axis.pcolormesh(
        across,
        np.asarray(angles_deg)[order],
        rows,
        cmap="gray",
        vmin=low,
        vmax=high,
        shading="nearest",
        rasterized=True,
    )
    axis.grid(visible=False)
    axis.set_xlabel("x / nm")
    axis.set_ylabel("tilt / degrees")
    axis.set_title("middle row of the aligned images", fontsize=9)
    return page


def residual_pictures(images: Floats, projections: Floats, captions: Sequence[str]) -> Figure:
    """Return aligned images, their re-projections and the differences, all [tilt, y, x].

    The difference has the grey scale of the image, about 0.
    """
    page = Figure(figsize=(1.9 * len(images), 5.9), layout="constrained")
    axes = page.subplots(3, len(images), squeeze=False)
    for place, caption in enumerate(captions):
        image, projection = images[place], projections[place]
        low, high = _greys(image)
        half = (high - low) / 2
        _show(axes[0, place], image, (low, high))
        _show(axes[1, place], projection, (low, high))
        _show(axes[2, place], image - projection, (-half, half))
        axes[0, place].set_title(caption, fontsize=8)
    for axis, word in zip(axes[:, 0], ("image", "re-projection", "difference"), strict=True):
        axis.set_ylabel(word, fontsize=8)
    return page


def alignment_curves(
    angles_deg: NDArray[np.float64], shifts_px: Floats, residuals_px: Floats
) -> Figure:
    """Return the shifts [tilt, (y, x)] and the residuals of the images in use, by tilt angle."""
    order = np.argsort(angles_deg)
    page = Figure(figsize=(6.5, 5), layout="constrained")
    above, below = page.subplots(2, 1, sharex=True)
    for column, name, marker in ((1, "x", "o"), (0, "y", "s")):
        above.plot(angles_deg[order], shifts_px[order, column], marker=marker, label=name)
    above.set_ylabel("shift / px")
    above.set_title("distance of the object from the centre of each image", fontsize=9)
    above.legend()
    below.plot(angles_deg[order], residuals_px[order], marker="o")
    below.set_ylim(bottom=0)
    below.set_ylabel("residual / px")
    below.set_xlabel("tilt / degrees")
    return page


def slices_with_particles(data: ReportData, off_middle_nm: float = 0.0) -> Figure | None:
    """Return an x-z slice of each volume, with the particles that it cuts as circles.

    `off_middle_nm` is its distance along y from the middle of the particles. None without volumes.
    """
    with open_scene(data) as scene:
        if scene is None:
            return None
        page = Figure(figsize=(3.4 * len(scene.sirt), 3.7), layout="constrained")
        draw_slices(page, scene, off_middle_nm)
        y_nm = scene.field.middle_y_nm + off_middle_nm
        for axis, name in zip(page.axes, scene.sirt, strict=True):
            if name in scene.particles:
                _draw_circles(axis, scene.particles[name], y_nm, scene.diameter_nm)
    return page


def half_width_of_slices_nm(data: ReportData) -> float | None:
    """Return how far from the middle along y there are slices; None without volumes."""
    with open_scene(data) as scene:
        return None if scene is None else scene.side_nm / 2


def _draw_circles(axis: Axes, centres_nm: Floats, y_nm: float, diameter_nm: float) -> None:
    off_plane = centres_nm[:, 1] - y_nm
    cut = np.abs(off_plane) < diameter_nm / 2
    widths = 2 * np.sqrt((diameter_nm / 2) ** 2 - off_plane[cut] ** 2)
    axis.add_collection(
        EllipseCollection(
            widths,
            widths,
            np.zeros(len(widths)),
            units="xy",
            offsets=centres_nm[cut][:, [0, 2]],
            offset_transform=axis.transData,
            facecolors="none",
            edgecolors=PARTICLE_COLOUR,
            linewidths=0.5,
        )
    )


def grey_levels(image: Floats) -> NDArray[np.uint8]:
    """Return the pixels of an image as greys from 0 to 255, for a file."""
    low, high = _greys(image)
    shares = (np.nan_to_num(image, nan=low) - low) / (high - low)
    return np.asarray(np.round(255 * np.clip(shares, 0, 1)), np.uint8)


def _show(axis: Axes, image: Floats, greys: tuple[float, float] | None = None) -> None:
    low, high = greys or _greys(image)
    axis.imshow(image, cmap="gray", origin="lower", vmin=low, vmax=high)
    axis.grid(visible=False)
    axis.set(xticks=[], yticks=[])


def _greys(image: Floats) -> tuple[float, float]:
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [IGNORED_PERCENT, 100 - IGNORED_PERCENT])
    return float(low), float(max(high, low + 1e-12))
