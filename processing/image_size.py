"""Rules for the size of images: what is processed as recorded, what is binned, what is refused.

They need no image, so that they also say before the first exposure what processing would refuse.
"""

from __future__ import annotations

Crop = tuple[int, int, int, int]
"""First column, first row, width and height, in recorded pixels."""

SMALL_SIDE_PX = 416
"""Largest side of images that are processed as they were recorded."""
USUAL_SIDE_PX = 250
"""Side near which the region of the object is after binning, if particles keep
`LEAST_DIAMETER_PX`. An assembly of 7000 particles then has eight pixels a particle. Finer pixels
take twice as long and find the same particles."""
LEAST_DIAMETER_PX = 7.0
"""Smallest diameter after binning. The fit of spheres reduces finer images to this diameter."""
AMPLE_DIAMETER_PX = 10.0
"""Diameter beyond which images are binned although they are not large."""
SMALLEST_SIDE_PX = 16
"""Smallest side of a region, and of an image after binning (px)."""
SMALLEST_DIAMETER_PX = 2.0
"""Smallest diameter. A smaller sphere is one pixel, and all noise would count as particles."""
COARSEST_PIXEL_DIAMETERS = 0.3
"""Largest pixel, in particle diameters, whose count can be trusted."""
LARGEST_DIAMETER_SHARE = 0.5
"""Largest diameter, as a fraction of the smaller side of the field.

A larger sphere is the whole assembly, not one of its particles.
"""
MEMORY_VOLUMES = 2
"""Volumes that are always in memory: the blocks of slices being processed."""
BYTES_PER_VOXEL = 4


def volumes_GB(columns: int, rows: int, volumes: int) -> float:
    """Return the memory of volumes that are as deep as they are wide."""
    return volumes * BYTES_PER_VOXEL * columns * rows * columns / 1e9


def choose_bin(width: int, height: int, diameter_px: float | None, limit_GB: float) -> int:
    """Choose the bin of a region of large images.

    Parameters
    ----------
    diameter_px
        Particle diameter in recorded pixels; None if it is unknown.
    limit_GB
        Memory for volumes, which even a finer bin must not exceed.
    """
    factor = max(1, round(max(width, height) / USUAL_SIDE_PX))
    if diameter_px is not None:
        enough = max(1, int(diameter_px / LEAST_DIAMETER_PX))
        factor = max(min(factor, enough), int(diameter_px / AMPLE_DIAMETER_PX))
    while volumes_GB(width // factor, height // factor, MEMORY_VOLUMES) > limit_GB:
        factor += 1
    return factor


def diameter_refusal(columns: int, rows: int, pixel_nm: float, diameter_nm: float | None) -> str:
    """Say why no particle in the field can have the given diameter; empty if it can."""
    smallest_nm = SMALLEST_DIAMETER_PX * pixel_nm
    largest_nm = LARGEST_DIAMETER_SHARE * min(columns, rows) * pixel_nm
    if diameter_nm is None or smallest_nm <= diameter_nm <= largest_nm:
        return ""
    return (
        f"no particle here can be {diameter_nm:g} nm in diameter; at {pixel_nm:.4g} nm a pixel in "
        f"a field {min(columns, rows) * pixel_nm:.4g} nm wide, give {smallest_nm:.4g} to "
        f"{largest_nm:.4g} nm, or omit the diameter to have it estimated"
    )


def crop_refusal(columns: int, rows: int, crop: Crop) -> str:
    """Say why a crop does not fit the images; empty if it does."""
    x, y, width, height = crop
    inside = min(x, y) >= 0 and x + width <= columns and y + height <= rows
    if inside and min(width, height) >= SMALLEST_SIDE_PX:
        return ""
    return (
        f"crop {width} x {height} px from column {x}, row {y} does not fit images of "
        f"{columns} x {rows} px; give column, row, width and height inside them, at least "
        f"{SMALLEST_SIDE_PX} px each way"
    )


def bin_refusal(width: int, height: int, factor: int) -> str:
    """Say why a region cannot be binned like this; empty if it can."""
    columns, rows = width // factor, height // factor
    if min(columns, rows) >= SMALLEST_SIDE_PX:
        return ""
    return f"bin {factor} leaves {columns} x {rows} px; choose a smaller one"


def memory_refusal(columns: int, rows: int, limit_GB: float) -> str:
    """Say why volumes of images of this size cannot be processed; empty if they can."""
    needed_GB = volumes_GB(columns, rows, MEMORY_VOLUMES)
    if needed_GB <= limit_GB:
        return ""
    return (
        f"volumes of {columns} x {rows} x {columns} voxels need about {needed_GB:.2g} GB, the "
        f"limit is {limit_GB:g} GB; choose a larger bin, or raise memory_limit_GB"
    )


def planned_size(
    columns: int,
    rows: int,
    pixel_nm: float,
    *,
    diameter_nm: float | None,
    bin: int | None,
    crop_px: Crop | None,
    memory_limit_GB: float,
) -> tuple[str, int]:
    """Return why processing would refuse images of this size (empty if not), and their bin.

    Without `crop_px` the whole field is taken: the object's region needs no more than that.
    """
    crop = crop_px or (0, 0, columns, rows)
    if refusal := (
        diameter_refusal(columns, rows, pixel_nm, diameter_nm) or crop_refusal(columns, rows, crop)
    ):
        return refusal, 1
    _, _, width, height = crop
    factor = bin
    if factor is None:
        diameter_px = None if diameter_nm is None else diameter_nm / pixel_nm
        large = max(columns, rows) > SMALL_SIDE_PX
        factor = choose_bin(width, height, diameter_px, memory_limit_GB) if large else 1
    refusal = bin_refusal(width, height, factor) or memory_refusal(
        width // factor, height // factor, memory_limit_GB
    )
    return refusal, factor
