"""What a tilt series knows of views it never took: its images as slices of one spectrum.

The spectrum of a projection is the slice of the object's own spectrum across the beam. Any other
view is such a slice too. Each of its points lies, on a circle about the tilt axis, between two
recorded slices and is read from those: no reconstruction, and no alignment beyond the centre of
mass, which projects like a point of the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from processing.errors import ProcessingError
from processing.series import Float64

Complex64 = NDArray[np.complex64]
Bools = NDArray[np.bool_]

FINEST_PER_NM = 0.24
"""Highest frequency looked at: neighbouring planes of particles of a few nanometres."""
PIXEL_NM = 1.2
"""Images are binned towards it: that frequency stays well below what pixels can carry."""
OBJECT_LEVEL = 0.15
"""Share of the brightest smoothed signal above which a pixel belongs to the object."""
LEAST_SHARE = 0.2
"""Of the heaviest patch's mass: a lighter one is no assembly."""
SMOOTH_NM, MARGIN_NM, FADE_NM = 4.0, 5.0, 2.0
"""Smoothing before the object is outlined, what is kept around it, and how softly it is cut."""
PADDED = 2.0
"""Spectra are sampled this much finer than the object's size asks: they are interpolated."""
WEDGE_DEG = 2.0
"""Beyond the first and the last tilt the spectrum is still taken to be known this far."""


@dataclass(frozen=True)
class Outlined:
    """An object cut out of its image.

    Attributes
    ----------
    image
        [y, x], without the background and without its neighbours.
    centre_px
        (y, x) of its centre of mass from the image's centre.
    area_px
        Of its outline.
    side_px
        Of the square about the centre that holds it.
    """

    image: Float64
    centre_px: Float64
    area_px: float
    side_px: int
    pixel_nm: float

    @property
    def mass(self) -> float:
        """Signal over the background, times the area it covers, nm^2."""
        return float(self.image.sum()) * self.pixel_nm**2


def outlined(image: NDArray[np.generic], pixel_nm: float) -> Outlined:
    """Cut the middlemost object out of an image [y, x], binned to about `PIXEL_NM`.

    Raises
    ------
    ProcessingError
        The image is too small, or holds nothing but one value.
    """
    binning = max(1, int(PIXEL_NM / pixel_nm))
    rows, columns = (n // binning for n in image.shape)
    if min(rows, columns) < 16:
        raise ProcessingError(f"an image of {image.shape} pixels is too small to tell a flip from")
    whole = np.nan_to_num(image[: rows * binning, : columns * binning].astype(np.float64))
    binned = whole.reshape(rows, binning, columns, binning).mean(axis=(1, 3))
    pixel_nm *= binning
    flat = binned - np.median(np.r_[binned[0], binned[-1], binned[:, 0], binned[:, -1]])
    smooth = ndimage.gaussian_filter(flat, SMOOTH_NM / pixel_nm)
    top = np.percentile(smooth, 99)
    if not top > 0:
        raise ProcessingError("an image holds one value only: no flip can be told from it")
    patches, count = ndimage.label(smooth > OBJECT_LEVEL * top)
    outline = patches == _middlemost(smooth, patches, count)
    around = ndimage.binary_dilation(outline, iterations=max(1, round(MARGIN_NM / pixel_nm)))
    cut = flat * ndimage.gaussian_filter(around.astype(np.float64), FADE_NM / pixel_nm)
    return Outlined(cut, _centre_px(cut), float(outline.sum()), _side_px(around), pixel_nm)


def _middlemost(smooth: Float64, patches: NDArray[np.int32], count: int) -> int:
    """Label of the patch nearest to the middle, of those heavy enough to be an assembly."""
    labels = np.arange(1, count + 1)
    masses = ndimage.sum_labels(smooth, patches, labels)
    heavy = labels[masses >= LEAST_SHARE * masses.max()]
    places = np.array(ndimage.center_of_mass(smooth, patches, heavy))
    off_px = np.linalg.norm(places - (np.array(smooth.shape) - 1) / 2, axis=1)
    return int(heavy[off_px.argmin()])


def _centre_px(image: Float64) -> Float64:
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in image.shape)
    moments = np.array([image.sum(axis=1) @ rows, image.sum(axis=0) @ columns])
    return np.asarray(moments / image.sum(), np.float64)


def _side_px(mask: Bools) -> int:
    box = ndimage.find_objects(mask.astype(np.int8))[0]
    return int(max(side.stop - side.start for side in box))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Of an object about its centre of mass: values [ky, kx] at multiples of `step_per_nm`."""

    values: Complex64
    step_per_nm: float

    @property
    def reach(self) -> int:
        """Steps from the middle to either side."""
        return len(self.values) // 2

    def at(self, ku: Float64, kv: Float64) -> Complex64:
        """Value at frequencies [n] along x and y, 1/nm, by linear interpolation."""
        places = np.array([kv, ku]) / self.step_per_nm + self.reach
        return _interpolated(self.values, places)


def spectrum(seen: Outlined, side_nm: float) -> Spectrum:
    """Spectrum of an object that a square of `side_nm` holds."""
    size = fft.next_fast_len(int(np.ceil(PADDED * side_nm / seen.pixel_nm)))
    size = max(size, *seen.image.shape)
    step = 1 / (size * seen.pixel_nm)
    reach = int(min(FINEST_PER_NM / step, size // 2 - 1))
    lines = np.arange(-reach, reach + 1)
    whole = fft.fft2(seen.image, (size, size))[np.ix_(lines % size, lines % size)]
    y, x = (np.array(seen.image.shape) - 1) / 2 + seen.centre_px
    turns = np.add.outer(lines * y, lines * x) / size
    return Spectrum(np.asarray(whole * np.exp(2j * np.pi * turns), np.complex64), step)


def _interpolated(values: Complex64, places: Float64) -> Complex64:
    found: Complex64 = ndimage.map_coordinates(values, places, order=1)
    return found


class TiltedViews:
    """Slices through the spectrum of one object, from its tilt series.

    Parameters
    ----------
    images
        [y, x] each, one a tilt, of any numeric type; read one at a time.
    angles_deg
        Their tilts, in any order; a repeated one counts once.
    pixel_nm
        Of the images.

    Raises
    ------
    ProcessingError
        There is no image, or one that shows nothing.
    """

    def __init__(
        self,
        images: Iterable[NDArray[np.generic]],
        angles_deg: Sequence[float],
        pixel_nm: float,
    ) -> None:
        seen = [outlined(image, pixel_nm) for image in images]
        if not seen:
            raise ProcessingError("series A has no usable image to compare with")
        angles, order = np.unique(np.asarray(angles_deg, np.float64), return_index=True)
        self._angles_deg = angles
        self.side_nm = max(one.side_px for one in seen) * seen[0].pixel_nm
        self.flattest = seen[order[int(np.argmin(np.abs(angles)))]]
        spectra = [spectrum(seen[index], self.side_nm) for index in order]
        self._step_per_nm, self._reach = spectra[0].step_per_nm, spectra[0].reach
        self._slices = np.stack([one.values for one in spectra])

    def at(self, k: Float64) -> tuple[Complex64, Bools]:
        """Spectrum at frequencies [(x, y, z), n], 1/nm; and where a tilt comes near enough."""
        kx, ky, kz = k
        tilt_deg = np.degrees(np.arctan2(kz, kx))
        behind = np.where(tilt_deg > 90, -180.0, np.where(tilt_deg <= -90, 180.0, 0.0))
        tilt_deg = tilt_deg + behind
        across = np.where(behind != 0, -1.0, 1.0) * np.hypot(kx, kz)
        first, last = self._angles_deg[0] - WEDGE_DEG, self._angles_deg[-1] + WEDGE_DEG
        slices = np.interp(tilt_deg, self._angles_deg, np.arange(len(self._angles_deg)))
        places = np.array(
            [slices, ky / self._step_per_nm + self._reach, across / self._step_per_nm + self._reach]
        )
        return _interpolated(self._slices, places), (first <= tilt_deg) & (tilt_deg <= last)
