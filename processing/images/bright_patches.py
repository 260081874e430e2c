"""Bright patches on a film that the noise of the image alone does not explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.brightest_by_chance import brightest_by_chance
from processing.series import Float64

LEAST_CONTRAST = 6.0
"""Smallest brightness of a patch above the film, in standard deviations of the film, its texture
included."""

LEAST_PIXELS = 1.5
"""Smallest number of pixels that share the brightness of a patch, as counted by their squares: a
single electron or a wrong pixel has 1."""
FAR_BRIGHTER = 10.0
"""Brightness of an assembly in one pixel, relative to the brightest pixel of the film."""
BRIGHTER = 3.0
"""Smallest brightness of a wrong pixel, relative to its neighbours and to patches that it may hide:
single electrons are alike."""
ROUNDS = 8
"""Most rounds in which film and patches are told apart."""
_NEIGHBOURS = np.array([[True, True, True], [True, False, True], [True, True, True]])


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Smoothed image of objects on a film.

    Attributes
    ----------
    raw, image
        Brightness [y, x] before and after smoothing, less that of the usual pixel.
    sigma_px
        Standard deviation of the Gaussian, pixels.
    film
        Smoothed brightness of the film.
    texture
        Smoothed brightness that the film reaches by its usual scatter.
    """

    raw: Float64
    image: Float64
    sigma_px: float
    film: float
    texture: float

    def top(self, where: NDArray[np.bool_] | None = None) -> float:
        """Return the brightness of the brightest assembly within a mask [y, x], or in the image.

        A wrong pixel is far brighter than its neighbours, and would hide assemblies: each pixel
        counts as at most three times as bright as the brightest of its neighbours. If nothing
        exceeds the film then, pixels count as they are.
        """
        neighbours = ndimage.maximum_filter(self.raw, footprint=_NEIGHBOURS)
        lowered = ndimage.gaussian_filter(
            np.minimum(self.raw, BRIGHTER * neighbours), self.sigma_px, mode="constant"
        )
        for image in (lowered, self.image):
            brightest = float(image[() if where is None else where].max())
            if brightest > self.texture:
                break
        return brightest

    def patches(self, level: float, top: float) -> NDArray[np.int32]:
        """Label the bright patches [y, x] that are no noise; 0 between them.

        Parameters
        ----------
        level
            Smallest brightness of a patch's pixels: 0 is the film, 1 is `top`.
        """
        labels, count = ndimage.label(self.image > self.film + level * (top - self.film))
        numbers = np.arange(count + 1)  # 0 is never a patch
        peaks = ndimage.maximum(self.image, labels, numbers)
        bright = (numbers > 0) & (peaks > self.texture)
        wide = self._is_wide(labels, numbers)
        possible, narrow = bright & wide, bright & ~wide
        kept = self._above_noise(labels, peaks, possible, np.zeros_like(bright))
        # a wrong pixel is no noise of the film, and would hide what is fainter
        wrong = self._is_alone(labels, kept, narrow, possible)
        if wrong.any():
            kept = self._above_noise(labels, peaks, possible, wrong)
        kept |= self._is_alone(labels, kept, narrow, np.zeros_like(bright))
        return np.asarray(np.where(kept, numbers, 0)[labels], np.int32)

    def _above_noise(
        self,
        labels: NDArray[Any],
        peaks: NDArray[Any],
        possible: NDArray[np.bool_],
        wrong: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Tell which patches the noise of the film does not reach.

        The film is what no patch covers, and no wrong pixel. A patch that its noise may reach is
        film, too: film and patches are told apart in rounds.
        """
        kept = possible
        for _ in range(ROUNDS):
            film = self.raw[~(kept | wrong)[labels]]
            limit = brightest_by_chance(film, self.raw.size, self.sigma_px)
            again = possible & (peaks > limit)
            if np.array_equal(again, kept):
                break
            kept = again
        return kept

    def _is_alone(
        self,
        labels: NDArray[Any],
        kept: NDArray[np.bool_],
        narrow: NDArray[np.bool_],
        unclear: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Tell whether one of the narrow patches is far brighter than all that is not kept.

        The scan of a map may meet a small assembly in one pixel. Of single electrons, there are
        others that are about as bright: alone, or in patches of which it is unclear what they are.
        """
        alone = np.zeros_like(kept)
        if not narrow.any():
            return alone
        brightest = ndimage.maximum(self.raw, labels, np.arange(len(kept)))
        candidate = int(np.argmax(np.where(narrow, brightest, -np.inf)))
        film = self.raw[~(kept | unclear)[labels] & (labels != candidate)].max(initial=0.0)
        patches = brightest[unclear & ~kept].max(initial=0.0)
        limit = max(FAR_BRIGHTER * film, BRIGHTER * patches)
        alone[candidate] = brightest[candidate] > limit
        return alone

    def _is_wide(self, labels: NDArray[Any], numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which patches have brightness in several pixels."""
        bright = np.maximum(self.raw, 0.0)
        sums, squares = (ndimage.sum_labels(bright**power, labels, numbers) for power in (1, 2))
        return np.asarray(sums**2 >= LEAST_PIXELS * squares)


def smoothed(image: NDArray[Any], sigma_px: float) -> Smoothed:
    """Smooth an image [y, x] by a Gaussian, and measure its film."""
    raw = np.nan_to_num(image.astype(np.float64))
    raw -= np.median(raw)
    smooth = np.asarray(ndimage.gaussian_filter(raw, sigma_px, mode="constant"))
    film = float(np.median(smooth))
    scatter = 1.4826 * float(np.median(np.abs(smooth - film)))
    return Smoothed(raw, smooth, sigma_px, film, film + LEAST_CONTRAST * scatter)
