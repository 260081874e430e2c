"""Check the tilt angles of a series against its images: their order and their scale.

Two measures need no reconstruction. Images at neighbouring angles resemble each other most. And the
first moment of each row across the tilt axis is a point of the object: it moves as
a cos(t) + b sin(t) with the tilt t.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.smooth import smooth_images
from processing.series import Float32, Float64

DETAIL_PX = (1.0, 10.0)
"""Band-pass sigmas for the similarity of images."""
MOST_SIMILAR = 2
"""Images that are compared in angle with each image: its two neighbours."""
GROUPS = (1, 2, 3, 4)
"""Tilts recorded on one side before the other, in the dose-symmetric orders that are tried."""
LARGEST_PLACES_RATIO = 0.72
"""Largest distance of similar images in the better order, as a fraction of that as given. One jump
in an otherwise right order, as in a bidirectional recording, gives 1.0 / 1.5."""
NEARLY_BEST = 1.25
"""Misfit of an order, relative to the best one, at which the more usual order is taken."""
LARGEST_PLACES = 2.0
"""Largest mean distance of similar images, in places, for an order that the images support."""
LARGEST_MOMENT_RATIO = 0.7
"""Largest misfit of the row moments for a better hypothesis, as a fraction of that as given."""
DECISIVE_MOMENT_RATIO = 0.2
"""The same ratio at which the row moments decide alone."""
SMALLEST_BRANCH = 1 / 12
"""Smallest part of a series on one side of the start of a bidirectional recording. A shorter branch
would rest on a few images at one end of the range, which a neighbour may cover."""
SMALLEST_STRANGE_SHARE = 1 / 6
"""Mean distance of similar images, as a fraction of the number of images, beyond which the given
order can be wrong although no known order is right. Shuffled images have 1/3. A neighbour that
enters and leaves the field gave 1/12."""

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class OrderedAngles:
    """Angles [section] in another order, with a name for it, and how well they fit."""

    name: str
    angles_deg: Float64
    places: float
    is_said: bool = False
    """True if another file gives this order."""


@dataclass(frozen=True, eq=False)
class AngleEvidence:
    """Images of one series, prepared for comparison with hypotheses on their angles.

    A hypothesis is an angle for each section of the series, [section].

    Attributes
    ----------
    sections
        [image]: section of each image; other sections are not compared.
    similarity
        Correlation of the images' details, [image, image].
    moments
        First moment of each row across the axis, [image, y].
    """

    sections: Indices
    similarity: Float64
    moments: Float64

    @cached_property
    def neighbours(self) -> Indices:
        """The two images most similar to each image, [image, 2]."""
        others = self.similarity.copy()
        np.fill_diagonal(others, -np.inf)
        return np.asarray(np.argsort(-others, axis=1)[:, :MOST_SIMILAR], np.intp)

    def places(self, angles_deg: Float64) -> float:
        """Return the mean distance of similar images: places in the order of the angles.

        The distance is 1.0 if the two images most similar to each image are its neighbours.
        """
        return float(self._distances(angles_deg).mean())

    def step(self, angles_deg: Float64) -> float:
        """Return the mean dissimilarity of images at neighbouring angles."""
        order = np.argsort(angles_deg[self.sections], kind="stable")
        return float(1 - self.similarity[order[:-1], order[1:]].mean())

    def moment_misfit(self, angles_deg: Float64) -> float:
        """Return the fraction of the row moments that does not move as cos(t) and sin(t)."""
        t = np.deg2rad(angles_deg[self.sections])
        basis = np.stack([np.cos(t), np.sin(t)], axis=1)
        fitted = basis @ np.linalg.lstsq(basis, self.moments, rcond=None)[0]
        total = max(float((self.moments**2).sum()), 1e-30)
        return float(((self.moments - fitted) ** 2).sum()) / total

    def path(self) -> Indices:
        """Order the images so that neighbours are similar, by the best nearest-neighbour path."""
        paths = [self._path_from(start) for start in range(len(self.similarity))]
        return max(paths, key=lambda path: float(self.similarity[path[:-1], path[1:]].mean()))

    def _distances(self, angles_deg: Float64) -> Indices:
        """Return the places between each image and the two most similar ones, [image, 2]."""
        rounded = np.round(angles_deg[self.sections], 1)
        place = np.unique(rounded, return_inverse=True)[1]
        return np.asarray(np.abs(place[:, None] - place[self.neighbours]), np.intp)

    def _path_from(self, start: int) -> Indices:
        free = self.similarity.copy()
        path = [start]
        for _ in range(len(free) - 1):
            free[:, path[-1]] = -np.inf
            path.append(int(free[path[-1]].argmax()))
        return np.array(path, np.intp)


def angle_evidence(images: Float32, sections: Indices) -> AngleEvidence:
    """Prepare images [image, y, x], without background, tilt axis along y, centred on the object.

    Parameters
    ----------
    sections
        [image]: section of each image.
    """
    fine, coarse = (smooth_images(images, sigma_px) for sigma_px in DETAIL_PX)
    detail = fine - coarse
    # the mean of a row does not change with the tilt
    vectors = (detail - detail.mean(axis=2, keepdims=True)).reshape(len(images), -1)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    similarity = np.asarray(vectors @ vectors.T, np.float64)
    return AngleEvidence(sections, similarity, _row_moments(images))


def better_order(
    evidence: AngleEvidence,
    angles_deg: Float64,
    said: Sequence[tuple[str, Float64]] = (),
) -> OrderedAngles | None:
    """Return the order of these angles that the images support much better, if there is one.

    The orders of other files are tried first, then the usual ones. An order with the opposite sense
    fits equally well; the ascending one is taken.

    Parameters
    ----------
    angles_deg
        Angles of all sections, also of those whose images are not in the evidence.
    said
        The angles in the order of other files, with their names.
    """
    candidates = [
        OrderedAngles(f"of {name}", angles, evidence.places(angles), is_said=True)
        for name, angles in said
    ] + [
        OrderedAngles(name, angles, evidence.places(angles))
        for name, angles in _usual_orders(np.sort(angles_deg))
    ]
    # each measure alone takes some orders for equal that differ by a few images
    misfits = [one.places * evidence.moment_misfit(one.angles_deg) for one in candidates]
    nearly_best = NEARLY_BEST * min(misfits)
    best = next(
        one for one, misfit in zip(candidates, misfits, strict=True) if misfit <= nearly_best
    )
    return best if _is_better(evidence, best, angles_deg) else None


def has_other_order(evidence: AngleEvidence, angles_deg: Float64) -> bool:
    """Return true if the images form a clear sequence that is not that of their angles."""
    if evidence.places(angles_deg) < SMALLEST_STRANGE_SHARE * len(evidence.sections):
        return False
    angles = angles_deg.copy()
    angles[evidence.sections[evidence.path()]] = np.sort(angles_deg[evidence.sections])
    found = OrderedAngles("of the images", angles, evidence.places(angles))
    return _is_better(evidence, found, angles_deg)


def _is_better(evidence: AngleEvidence, other: OrderedAngles, given_deg: Float64) -> bool:
    """Return true if the images clearly support the other order."""
    if evidence.step(other.angles_deg) >= evidence.step(given_deg):
        return False
    places_ratio = other.places / evidence.places(given_deg)
    moment_ratio = evidence.moment_misfit(other.angles_deg) / max(
        evidence.moment_misfit(given_deg), 1e-30
    )
    # at coarse steps even neighbours resemble each other little, and the moments must decide
    by_both = other.places <= LARGEST_PLACES and places_ratio <= LARGEST_PLACES_RATIO
    return (by_both and moment_ratio < LARGEST_MOMENT_RATIO) or (
        places_ratio < 1 and moment_ratio < DECISIVE_MOMENT_RATIO
    )


def _usual_orders(ascending: Float64) -> Iterator[tuple[str, Float64]]:
    """Yield the orders in which a series with these angles [image] may have been recorded."""
    yield "ascending", ascending
    middle = int(np.argmin(np.abs(ascending)))
    for group in GROUPS:
        name = f"dose-symmetric by {group}" if group > 1 else "dose-symmetric"
        for up, down in (
            (ascending[middle:], ascending[:middle][::-1]),
            (ascending[: middle + 1][::-1], ascending[middle + 1 :]),
            (ascending[middle + 1 :], ascending[:middle][::-1]),
            (ascending[:middle][::-1], ascending[middle + 1 :]),
        ):
            first = ascending[[middle]] if len(up) + len(down) < len(ascending) else up[:0]
            yield name, np.concatenate([first, *_alternating(up, down, group)])
    shortest = max(1, round(SMALLEST_BRANCH * len(ascending)))
    for start in range(shortest, len(ascending) - shortest):
        up, down = ascending[start:], ascending[:start][::-1]
        name = f"bidirectional from {ascending[start]:+.1f} degrees"
        yield name, np.concatenate([up, down])
        yield name, np.concatenate([ascending[: start + 1][::-1], ascending[start + 1 :]])


def _alternating(one: Float64, other: Float64, group: int) -> Iterator[Float64]:
    for start in range(0, max(len(one), len(other)), group):
        yield one[start : start + group]
        yield other[start : start + group]


def _row_moments(images: Float32) -> Float64:
    """Return the first moment of each row across the axis, about that of the image, [image, y]."""
    x = np.arange(images.shape[2]) - (images.shape[2] - 1) / 2
    smooth = ndimage.gaussian_filter1d(images.astype(np.float64), DETAIL_PX[0], axis=1)
    mass = np.maximum(smooth.sum(axis=2).mean(axis=0), 0)
    moments = smooth @ x
    shift = moments.sum(axis=1, keepdims=True) / max(float(mass.sum()), 1e-30)
    return np.asarray(moments - shift * mass, np.float64)
