"""Spheres of several sizes: groups of equal brightness, and the diameter of each group.

In a HAADF image the signal of a particle grows with its volume. A fit of equal spheres to particles
of two sizes therefore gives amplitudes in two groups. The diameter of each group comes from the
shape in the images, without any assumption on the material.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from processing.device import Array
from processing.fit.beam import fit_beam, least_squares
from processing.fit.imager import LAYERS, ONE_KIND, Ints, SphereImager, SphereKind
from processing.fit.view import Spheres, Views, every, particles_crossed, slot_numbers
from processing.series import Float64

FAINTEST = 0.06
"""Smallest brightness of a particle, in brightnesses of a typical one; fainter ones are noise."""
SMALLEST_GROUP = 0.03
"""Smallest group, as a fraction of all particles."""
FEWEST_IN_GROUP = 3
LEAST_CONTRAST_OF_GROUPS = 1.35
"""Smallest brightness of the larger kind over that of the smaller: a diameter ratio of 0.9."""
LEAST_SEPARATION = 2.0
"""Smallest distance of two groups, in the sum of their standard deviations, of log brightness."""
SIZE_RANGE = (0.4, 1.6)
"""Range in which diameters are searched, in diameters of the equal spheres."""
SCANNED_VIEWS = 10
FILLED_LAYER = 0.05
"""Smallest energy of a layer that shows a kind, as a fraction of its brightest layer."""
PASSES = 2
PRECISION = 0.005


@dataclass(frozen=True, eq=False)
class Mixture:
    """Kinds of spheres, and the kind of each candidate.

    Attributes
    ----------
    kinds
        Largest kind first.
    members
        [n], number of the kind of each candidate, from 0.
    """

    kinds: tuple[SphereKind, ...]
    members: Ints


def two_groups(brightness: Float64) -> float | None:
    """Return the brightness that separates two groups of particles; None if there is one group.

    The groups are those with the least variance of log brightness inside them (Otsu 1979). They
    must stand apart: one group with a tail is not split.
    """
    logs = np.sort(np.log(brightness[brightness > FAINTEST]))
    least = max(FEWEST_IN_GROUP, int(np.ceil(SMALLEST_GROUP * len(logs))))
    if len(logs) < 2 * least:
        return None
    first = least + int(np.argmin(_spread_in_groups(logs)[least - 1 : len(logs) - least]))
    faint, bright = logs[:first], logs[first:]
    apart = float(np.median(bright) - np.median(faint))
    if apart < np.log(LEAST_CONTRAST_OF_GROUPS):
        return None
    if apart < LEAST_SEPARATION * (_width(faint) + _width(bright)):
        return None
    return float(np.exp((faint[-1] + bright[0]) / 2))


def _spread_in_groups(values: Float64) -> Float64:
    """Return the sum of squares inside two groups, for each number of values in the first.

    The result is [n - 1]: from one value in the first group to one in the second.
    """
    centred = values - values.mean()
    total, squares = np.cumsum(centred), np.cumsum(centred**2)
    number = np.arange(1, len(values))
    first = squares[:-1] - total[:-1] ** 2 / number
    second = squares[-1] - squares[:-1] - (total[-1] - total[:-1]) ** 2 / number[::-1]
    return np.asarray(first + second, np.float64)


def _width(values: Float64) -> float:
    """Return the standard deviation of the middle 80 %: a few odd values do not count."""
    low, high = np.quantile(values, (0.1, 0.9))
    return float(high - low) / 2.563


def fit_kinds(views: Sequence[Views], spheres: Spheres) -> tuple[SphereKind, ...]:
    """Find size and signal of each kind of spheres, by the shape of their images.

    Parameters
    ----------
    views
        Views of equal spheres. Sizes are relative to their diameter.
    spheres
        Spheres with the number of their kind, each with amplitude about 1 for its kind.
    """
    number = int(spheres.kinds.max()) + 1 if spheres.kinds is not None else 1
    sets = []
    for series in sorted({view.series for view in views}):
        own = [view for view in views if view.series == series]
        sets.append(_KindImages(own, spheres, number))
    sizes = np.ones(number)
    for _ in range(PASSES):
        for kind in range(number):

            def misfit(size: float, kind: int = kind) -> float:
                trial = sizes.copy()
                trial[kind] = size
                return sum(one.misfit(trial) for one in sets)

            found = optimize.minimize_scalar(
                misfit, bounds=SIZE_RANGE, method="bounded", options={"xatol": PRECISION}
            )
            sizes[kind] = float(found.x)
    signals = np.mean([one.signals(sizes) for one in sets], axis=0)
    return tuple(
        SphereKind(float(size), float(signal)) for size, signal in zip(sizes, signals, strict=True)
    )


class _KindImages:
    """Sharp images of each kind and layer in some views of one series."""

    def __init__(self, views: Sequence[Views], spheres: Spheres, number: int) -> None:
        first = views[0].imager
        device = first.device
        self.number = number
        self.imager = SphereImager(first.shape, first.diameter_px, ONE_KIND * number, device)
        self.views = every(views, max(1, sum(map(len, views)) // SCANNED_VIEWS))
        one_kind = Spheres(spheres.centres_nm, spheres.amplitudes)
        with device.executor() as pool:
            beam = fit_beam(views, one_kind, pool)
        self.blur_px = beam.blur_px
        self.spectra: list[Array] = []
        for some in self.views:
            crossed = particles_crossed(some, one_kind)
            slot = slot_numbers(crossed, beam.most_crossed, spheres, device)
            splines = self.imager.spread(some.project(spheres.centres_nm), slot)
            images = splines.spread(some.repeat(spheres.weights))
            self.spectra.append(self.imager.layer_spectra(images))

    def misfit(self, sizes: Float64) -> float:
        kernels = self._kernels(sizes)
        energy = 0.0
        for some, spectra in zip(self.views, self.spectra, strict=True):
            images = spectra * kernels
            contrasts = least_squares(images, some, ridge=1e-4).astype(np.float32)
            model = (self.imager.device.to_device(contrasts)[:, :, None, None] * images).sum(axis=1)
            energy += float(some.imager.energies(some.spectra - model).sum())
        return energy

    def signals(self, sizes: Float64) -> Float64:
        """Return the signal of each kind over that of the first, in the same layers."""
        kernels = self._kernels(sizes)
        products = np.zeros(self.number)
        for some, spectra in zip(self.views, self.spectra, strict=True):
            images = spectra * kernels
            contrasts = least_squares(images, some, ridge=1e-4)
            for view, by_slot in enumerate(contrasts):
                by_kind = by_slot.reshape(self.number, LAYERS)
                energies = some.imager.energies(images[view])
                by_layer = energies.reshape(self.number, LAYERS)
                filled = by_layer > FILLED_LAYER * by_layer.max(axis=1, keepdims=True)
                common = by_kind[:, filled.all(axis=0)]
                products += common @ common[0]
        return np.asarray(products / max(products[0], 1e-30), np.float64)

    def _kernels(self, sizes: Float64) -> Array:
        kinds = tuple(SphereKind(float(size)) for size in sizes)
        return self.imager.kernels_of(kinds, self.blur_px)
