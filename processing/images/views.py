"""Predict views of an object from its tilt series, in Fourier space.

The spectrum of a projection is the slice of the object's 3D spectrum perpendicular to the beam. Any
other view is such a slice too. Each point of that slice lies on a circle about the tilt axis,
between two recorded slices, and is interpolated from them. This needs no reconstruction. The only
alignment is to the centre of mass, which projects like a point of the object.
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
"""Highest frequency used; it resolves neighbouring planes of particles of a few nanometres."""
PIXEL_NM = 1.2
"""Pixel size towards which images are binned; `FINEST_PER_NM` stays well below its Nyquist."""
OBJECT_LEVEL = 0.15
"""Smallest smoothed signal of an object pixel, as a fraction of the maximum."""
SMALLEST_MASS_SHARE = 0.2
"""Smallest mass of an assembly, as a fraction of the heaviest patch."""
SMOOTH_NM, MARGIN_NM, FADE_NM = 4.0, 5.0, 2.0
"""Smoothing before the outline is found, margin kept around it, and softness of its edge."""
PADDING = 2.0
"""Padding factor before the Fourier transform; fine sampling keeps interpolation accurate."""
WEDGE_DEG = 2.0
"""Angle beyond the first and last tilt up to which the spectrum is taken as known."""


@dataclass(frozen=True)
class OutlinedObject:
    """An object cut out of its image.

    Attributes
    ----------
    image
        [y, x], without background and neighbours.
    centre_px
        (y, x) of the centre of mass from the image's centre.
    area_px
        Area inside the outline, pixels.
    side_px
        Side of the square that holds the object and its margin.
    """

    image: Float64
    centre_px: Float64
    area_px: float
    side_px: int
    pixel_nm: float

    @property
    def mass(self) -> float:
        """Integral of the signal above the background, counts nm^2."""
        return float(self.image.sum()) * self.pixel_nm**2

    @property
    def diameter_nm(self) -> float:
        """Diameter of the circle that has the area inside the outline."""
        return float(2 * np.sqrt(self.area_px / np.pi)) * self.pixel_nm


def outline_object(image: NDArray[np.generic], pixel_nm: float) -> OutlinedObject:
    """Cut the most central object out of an image [y, x], binned to about `PIXEL_NM`.

    Raises
    ------
    ProcessingError
        The image is too small, or all its pixels have the same value.
    """
    binning = max(1, int(PIXEL_NM / pixel_nm))
    rows, columns = (n // binning for n in image.shape)
    if min(rows, columns) < 16:
        raise ProcessingError(f"an image of {image.shape} pixels is too small for the flip check")
    whole = np.nan_to_num(image[: rows * binning, : columns * binning].astype(np.float64))
    binned = whole.reshape(rows, binning, columns, binning).mean(axis=(1, 3))
    pixel_nm *= binning
    flat = binned - np.median(np.r_[binned[0], binned[-1], binned[:, 0], binned[:, -1]])
    smooth = ndimage.gaussian_filter(flat, SMOOTH_NM / pixel_nm)
    top = np.percentile(smooth, 99)
    if not top > 0:
        raise ProcessingError(
            "an image holds one value only and cannot be compared; check beam and detector"
        )
    patches, count = ndimage.label(smooth > OBJECT_LEVEL * top)
    outline = patches == _central_patch(smooth, patches, count)
    mask = ndimage.binary_dilation(outline, iterations=max(1, round(MARGIN_NM / pixel_nm)))
    cut = flat * ndimage.gaussian_filter(mask.astype(np.float64), FADE_NM / pixel_nm)
    return OutlinedObject(cut, _centre_px(cut), float(outline.sum()), _side_px(mask), pixel_nm)


def _central_patch(smooth: Float64, patches: NDArray[np.int32], count: int) -> int:
    """Label of the patch nearest to the centre, among those heavy enough to be an assembly."""
    labels = np.arange(1, count + 1)
    masses = ndimage.sum_labels(smooth, patches, labels)
    heavy = labels[masses >= SMALLEST_MASS_SHARE * masses.max()]
    centres = np.array(ndimage.center_of_mass(smooth, patches, heavy))
    off_px = np.linalg.norm(centres - (np.array(smooth.shape) - 1) / 2, axis=1)
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
    """Spectrum [ky, kx] of an object about its centre of mass, sampled every `step_per_nm`."""

    values: Complex64
    step_per_nm: float

    @property
    def zero_index(self) -> int:
        """Index of zero frequency on both axes."""
        return len(self.values) // 2

    def at(self, ku: Float64, kv: Float64) -> Complex64:
        """Interpolate linearly at frequencies [n] along x (`ku`) and y (`kv`), 1/nm."""
        indices = np.array([kv, ku]) / self.step_per_nm + self.zero_index
        return _interpolate(self.values, indices)


def spectrum(outlined: OutlinedObject, side_nm: float) -> Spectrum:
    """Fourier transform an object that fits in a square of `side_nm`."""
    image = outlined.image
    size = fft.next_fast_len(int(np.ceil(PADDING * side_nm / outlined.pixel_nm)))
    size = max(size, *image.shape)
    step = 1 / (size * outlined.pixel_nm)
    highest = int(min(FINEST_PER_NM / step, size // 2 - 1))
    k = np.arange(-highest, highest + 1)
    values = fft.fft2(image, (size, size))[np.ix_(k % size, k % size)]
    y, x = (np.array(image.shape) - 1) / 2 + outlined.centre_px
    phase = np.add.outer(k * y, k * x) / size
    return Spectrum(np.asarray(values * np.exp(2j * np.pi * phase), np.complex64), step)


def _interpolate(values: Complex64, indices: Float64) -> Complex64:
    found: Complex64 = ndimage.map_coordinates(values, indices, order=1)
    return found


class TiltedViews:
    """Spectra of one object at the angles of its tilt series, and between them.

    Parameters
    ----------
    images
        One [y, x] for each tilt, of any numeric type; read one at a time.
    angles_deg
        Tilt angles of the images, in any order. Of a repeated angle only one image is used.
    pixel_nm
        Pixel size of the images.

    Raises
    ------
    ProcessingError
        There is no image, or all pixels of an image have the same value.
    """

    def __init__(
        self,
        images: Iterable[NDArray[np.generic]],
        angles_deg: Sequence[float],
        pixel_nm: float,
    ) -> None:
        objects = [outline_object(image, pixel_nm) for image in images]
        if not objects:
            raise ProcessingError("series A has no usable image to compare with")
        angles, order = np.unique(np.asarray(angles_deg, np.float64), return_index=True)
        self._angles_deg = angles
        self.side_nm = max(one.side_px for one in objects) * objects[0].pixel_nm
        self.least_tilted = objects[order[int(np.argmin(np.abs(angles)))]]
        spectra = [spectrum(objects[index], self.side_nm) for index in order]
        self._step_per_nm, self._zero_index = spectra[0].step_per_nm, spectra[0].zero_index
        self._slices = np.stack([one.values for one in spectra])

    def at(self, k: Float64) -> tuple[Complex64, Bools]:
        """Interpolate the 3D spectrum at frequencies [(x, y, z), n], 1/nm.

        Returns
        -------
        values, known
            [n] each; `known` is False in the missing wedge.
        """
        kx, ky, kz = k
        tilt_deg = np.degrees(np.arctan2(kz, kx))
        # a slice at t + 180 degrees is the slice at t with its axis across the tilt axis reversed
        half_turn = np.where(tilt_deg > 90, -180.0, np.where(tilt_deg <= -90, 180.0, 0.0))
        tilt_deg = tilt_deg + half_turn
        k_across = np.where(half_turn != 0, -1.0, 1.0) * np.hypot(kx, kz)
        first, last = self._angles_deg[0] - WEDGE_DEG, self._angles_deg[-1] + WEDGE_DEG
        slices = np.interp(tilt_deg, self._angles_deg, np.arange(len(self._angles_deg)))
        along, across = (f / self._step_per_nm + self._zero_index for f in (ky, k_across))
        known = (first <= tilt_deg) & (tilt_deg <= last)
        return _interpolate(self._slices, np.array([slices, along, across])), known
