"""Remove from the images what is not the object: film, gradients, loose particles, neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import ndimage

from processing.errors import ProcessingError
from processing.images.binning import block_mean
from processing.images.find_object import FoundObject, find_object
from processing.images.intensity import background_levels
from processing.images.smooth import smooth_images
from processing.parallel import each_in_threads
from processing.series import Bools, Float32, TiltSeries

THUMBNAIL_PX = 128
"""Largest side of the images in which the object is found."""
SMOOTHING_PX = 1.5
COARSE_SMOOTHING_PX = (3.0, 4.5)
"""Smoothings that are tried where another object seems to overlap, in pixels of the thumbnails."""
UNEVEN_SHARE = 0.03
"""Smallest variation of the background that is removed, as a fraction of the object's signal."""
UNEVEN_PERCENTILE = 90
"""Percentile over the images whose variation is compared."""
LARGEST_CLUTTER = 0.01
"""Largest texture of the background, as a fraction of the object's signal, beside which an outline
is trusted. A specimen in liquid has more."""
LARGEST_OVERLAP = 0.1
"""Largest fraction of images with an overlapping object without a doubt."""
FEWEST_CLEAR, CLEAR_SHARE = 8, 0.3
"""Fewest images, and smallest fraction of them, that show the object alone and are used alone."""
LOOSE_LEVEL = 0.05
"""Smallest signal of a loose particle, as a fraction of the object's."""
RIM_PX = 6
"""Distance to which particles stand out of the outline, or lie apart from it, in pixels of the
thumbnails."""
CLOSE_PX = 18
"""Distance up to which a small object may belong to the object, in pixels of the thumbnails."""
FADE_PX = 1.5
"""Softness of the object's mask, in pixels of the thumbnails."""
FILL_STEPS_PX = (3.0, 6.0, 12.0, 24.0, 48.0)
"""Distances over which the background is continued under the object, nearest first."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Images that also show what lies beside the object.

    Attributes
    ----------
    images
        Images of the whole field without background, [tilt, y, x].
    masks
        Object with its margin in each image, 0 to 1, [tilt, y, x].
    overlapped
        Images in which another object overlaps the one that is counted, [tilt].
    notes, doubts
        Those that hold as long as what lies beside the object is only masked.
    """

    images: Float32
    masks: Float32
    overlapped: Bools
    notes: tuple[str, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Isolated:
    """Series that shows only its object.

    Attributes
    ----------
    beside
        What lies beside the object; None if nothing does, or in too few images to fit it.
    overlapped
        Images in which another object overlaps the one that is counted, [tilt]; None if none was
        looked for.
    """

    series: TiltSeries
    beside: Surroundings | None = None
    overlapped: Bools | None = None

    def clear(self) -> TiltSeries:
        """Exclude the images in which another object overlaps, if enough remain.

        Their masks are guesses: one such image at the end of the tilts, placed half a particle
        wrong, spoils the places of a whole crystal.
        """
        if self.overlapped is None or not self.overlapped.any():
            return self.series
        excluded = self.series.excluded | self.overlapped
        enough = (~excluded).sum() >= max(FEWEST_CLEAR, CLEAR_SHARE * self.series.tilts)
        return replace(self.series, excluded=excluded) if enough else self.series


def isolate_object(series: TiltSeries, binned_by: int = 1) -> Isolated:
    """Keep the object of each image and set the rest to 0, if there is anything beside it.

    A series with an even background and nothing beside the object stays as it is, and so does one
    whose object cannot be outlined: particles in liquid, or an object larger than the field.

    Parameters
    ----------
    binned_by
        Recorded pixels in one of the images' along a side, for messages.

    Raises
    ------
    ProcessingError
        There is no object in the region that the operator named.
    """
    rows, columns = series.images.shape[1:]
    factor = max(1, -(-max(rows, columns) // THUMBNAIL_PX))
    thumbs = np.stack([_thumbnail(image, factor) for image in series.images])
    levels = background_levels(thumbs).astype(np.float32)
    flat = thumbs - levels[:, None, None]
    smooth = smooth_images(flat, SMOOTHING_PX)
    region = _region(series, factor)
    found = find_object(smooth, series.angles_deg, region)
    for smoothing_px in COARSE_SMOOTHING_PX:
        if found is None or found.overlapped.mean() <= LARGEST_OVERLAP:
            break
        # particles that stand apart look like other objects until they are smoothed
        coarse = smooth_images(flat, smoothing_px)
        again = find_object(coarse, series.angles_deg, region)
        if again is not None and not again.overlapped.any():
            found = again
    if found is None:
        if series.region_px is not None:
            raise _nothing_there(series, binned_by)
        return Isolated(series)
    beside = _grown(found.beside)
    hidden = found.masks | beside
    backgrounds = continued_background(flat, hidden)
    signal = max(float(np.median(np.percentile(smooth, 99, axis=(1, 2)))), 1e-30)
    texture = smooth_images(flat - backgrounds, SMOOTHING_PX)
    clutter = _clutter(texture, ~hidden)
    bright = (texture > max(8 * clutter, LOOSE_LEVEL * signal)) & ~beside
    bright[found.overlapped] = False  # what stands out there may be the other object
    masks = np.stack(each_in_threads(_with_rim, found.masks, bright))
    first = found.least_tilted
    known = masks[first] | beside[first]
    loose = _spots_beyond(bright[first], known, RIM_PX)
    close = loose - _spots_beyond(bright[first], known, CLOSE_PX)
    if _unevenness(backgrounds) > UNEVEN_SHARE * signal or found.cut or loose:
        # particles that stand out of the outline are no background
        backgrounds = continued_background(flat, masks | beside)
    uneven = _unevenness(backgrounds) > UNEVEN_SHARE * signal
    cluttered = clutter > LARGEST_CLUTTER * signal
    shows_others = found.cut or loose or found.overlapped.any()
    if series.region_px is None and (cluttered or not (uneven or shows_others)):
        return Isolated(series)
    whole = _without_background(series.images, levels, backgrounds, factor)
    soft = _soft_masks(masks, series.images.shape, factor)
    notes = _masked_notes(series.name, found, loose)
    doubts = (*_overlap_doubts(series.name, found), *_close_doubts(series.name, close))
    isolated = replace(
        series,
        images=whole * soft,
        notes=(*series.notes, *_uneven_notes(series.name, uneven), *notes),
        doubts=(*series.doubts, *doubts),
        even_background=not uneven,
    )
    # an object in few images is a bad image more often than a neighbour
    few = max(found.cut, int(found.overlapped.sum())) <= LARGEST_OVERLAP * series.tilts
    if few and not loose:
        return Isolated(isolated, overlapped=found.overlapped)
    surroundings = Surroundings(whole, soft, found.overlapped, notes, doubts)
    return Isolated(isolated, surroundings, found.overlapped)


def _nothing_there(series: TiltSeries, binned_by: int) -> ProcessingError:
    rows, columns = (binned_by * side for side in series.images.shape[1:])
    region = tuple(binned_by * value for value in series.region_px or ())
    return ProcessingError(
        f"series {series.name}: no object in the region {region} of the least tilted "
        f"image ({columns} x {rows} pixels); give column, row and radius of one"
    )


def _region(series: TiltSeries, factor: int) -> tuple[float, float, float] | None:
    """Return the operator's region in pixels of the thumbnails."""
    if series.region_px is None:
        return None
    column, row, radius = series.region_px
    return column / factor, row / factor, radius / factor


def _without_background(
    images: Float32, levels: Float32, backgrounds: Float32, factor: int
) -> Float32:
    whole = np.empty(images.shape, np.float32)
    for tilt, image in enumerate(images):
        whole[tilt] = image - (_enlarged(backgrounds[tilt], image.shape, factor) + levels[tilt])
    return whole


def _soft_masks(masks: Bools, shape: tuple[int, ...], factor: int) -> Float32:
    soft = np.empty(shape, np.float32)
    for tilt, mask in enumerate(masks):
        faded = ndimage.gaussian_filter(mask.astype(np.float32), FADE_PX)
        soft[tilt] = _enlarged(faded, shape[1:], factor)
    return soft


def continued_background(images: Float32, hidden: Bools) -> Float32:
    """Return the background of images [tilt, y, x], continued smoothly where it is hidden."""
    known = (~hidden).astype(np.float32)
    values = images * known
    result, missing = np.zeros_like(images), np.ones_like(images)
    for step in FILL_STEPS_PX:
        weight, mean = (_smoothed(each, step) for each in (known, values))
        trust = np.clip(weight / 0.2, 0, 1) if step != FILL_STEPS_PX[-1] else np.float32(1)
        result += missing * trust * mean / np.maximum(weight, 1e-6)
        missing *= 1 - trust
    nothing_known = ~known.any(axis=(1, 2))
    result[nothing_known] = images[nothing_known].min(axis=(1, 2), keepdims=True)
    return result


def _smoothed(images: Float32, sigma_px: float) -> Float32:
    """Smooth images [tilt, y, x] by a Gaussian that is wide for their size.

    Matrix products take a tenth of the time of a filter that is longer than the image.
    """
    rows, columns = (_gaussian_matrix(n, sigma_px) for n in images.shape[1:])
    return np.asarray(rows @ images @ columns.T, np.float32)


@lru_cache(maxsize=16)
def _gaussian_matrix(size: int, sigma_px: float) -> Float32:
    """Return the matrix [output, input] of a Gaussian filter; the edge values go on beyond it."""
    unit = np.eye(size, dtype=np.float32)
    return np.asarray(ndimage.gaussian_filter1d(unit, sigma_px, axis=0, mode="nearest"), np.float32)


def _thumbnail(image: Float32, factor: int) -> Float32:
    small = block_mean(image, factor)
    return np.nan_to_num(small, nan=float(np.nanmedian(small)) if np.isfinite(small).any() else 0.0)


def _grown(masks: Bools) -> Bools:
    return np.asarray(ndimage.binary_dilation(masks, np.ones((1, 5, 5), bool)), bool)


def _with_rim(mask: Bools, bright: Bools) -> Bools:
    """Add particles that stand out of the object's outline, or lie apart from it by a small gap."""
    near = ndimage.binary_dilation(mask, iterations=RIM_PX)
    connected, _ = ndimage.label(bright | mask)
    rim = near & bright & np.isin(connected, np.unique(connected[mask]))
    spots, _ = ndimage.label(bright & ~mask)
    beyond = ndimage.binary_dilation(near, iterations=RIM_PX)
    apart = np.setdiff1d(np.unique(spots[near]), np.append(np.unique(spots[~beyond]), 0))
    return np.asarray(mask | ndimage.binary_dilation(rim | np.isin(spots, apart), iterations=2))


def _spots_beyond(bright: Bools, known: Bools, distance_px: int) -> int:
    """Return the number of bright spots farther from all known objects than a distance."""
    spots, count = ndimage.label(bright)
    near = ndimage.binary_dilation(known, iterations=distance_px)
    return int(count - len(np.setdiff1d(np.unique(spots[near]), [0])))


def _clutter(texture: Float32, outside: Bools) -> float:
    """Return the usual texture outside the object."""
    return 1.4826 * float(np.median(np.abs(texture[outside]))) if outside.any() else 0.0


def _unevenness(backgrounds: Float32) -> float:
    """Return the variation of the background over the field."""
    low, high = np.percentile(backgrounds, (5, 95), axis=(1, 2))
    return float(np.percentile(high - low, UNEVEN_PERCENTILE))


def _enlarged(small: Float32, shape: tuple[int, ...], factor: int) -> Float32:
    if factor == 1:
        return small
    offset = [(1 - factor) / (2 * factor)] * 2
    large: Float32 = ndimage.affine_transform(
        small, [1 / factor] * 2, offset, shape, order=1, mode="nearest"
    )
    return large


def _uneven_notes(name: str, uneven: bool) -> tuple[str, ...]:
    if not uneven:
        return ()
    return (f"series {name}: uneven background (film, gradient, contamination) removed",)


def _masked_notes(name: str, found: FoundObject, loose: int) -> tuple[str, ...]:
    notes = []
    if found.cut:
        notes.append(
            f"series {name}: {found.cut} images show another object beside the one that is "
            "counted, most often cut by the field's edge; it was masked"
        )
    if loose:
        notes.append(
            f"series {name}: {loose} small object{'s' if loose > 1 else ''} beside the one that is "
            "counted; masked"
        )
    return tuple(notes)


def _overlap_doubts(name: str, found: FoundObject) -> tuple[str, ...]:
    overlapped, tilts = int(found.overlapped.sum()), len(found.masks)
    if overlapped <= LARGEST_OVERLAP * tilts:
        return ()
    return (
        f"series {name}: another object overlaps the one that is counted in {overlapped} of "
        f"{tilts} images; use a smaller range of tilts, or an object that lies alone",
    )


def _close_doubts(name: str, close: int) -> tuple[str, ...]:
    if not close:
        return ()
    return (
        f"series {name}: {close} small object{'s' if close > 1 else ''} close to the one that "
        "is counted may belong to it, and were not counted",
    )
