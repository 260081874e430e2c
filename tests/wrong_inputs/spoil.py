"""Faults of files and recordings, applied to a good sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tests.wrong_inputs.record import Sample

Images = NDArray[np.float32]
Array = NDArray[np.float64]
Change = Callable[[Sample], Sample]


def images(change: Callable[[Images], NDArray[np.generic]], *, only: int | None = None) -> Change:
    """Return a fault of the images; `only` names the one series that has it, 0 or 1."""

    def spoilt(sample: Sample) -> Sample:
        series = [
            replace(one, images=np.asarray(change(one.images.copy()), np.float32))
            if only in (None, place)
            else one
            for place, one in enumerate(sample.series)
        ]
        return replace(sample, series=tuple(series))

    return spoilt


def angles(change: Callable[[Array], Array], *, only: int | None = None) -> Change:
    """Return a fault of the angles that the file names."""

    def spoilt(sample: Sample) -> Sample:
        series = [
            replace(one, angles_deg=np.asarray(change(one.angles_deg.copy()), np.float64))
            if only in (None, place)
            else one
            for place, one in enumerate(sample.series)
        ]
        return replace(sample, series=tuple(series))

    return spoilt


def pixel(factor: float) -> Change:
    """Return a fault of the pixel size; centres found are wrong by the same factor."""

    def spoilt(sample: Sample) -> Sample:
        series = tuple(replace(one, pixel_nm=one.pixel_nm * factor) for one in sample.series)
        truth = None if sample.truth_nm is None else sample.truth_nm * factor
        return Sample(series, truth, sample.diameter_nm * factor)

    return spoilt


def tilts(keep: Callable[[Array], NDArray[np.generic]]) -> Change:
    """Return a selection of the images: `keep` maps the angles to sections."""

    def spoilt(sample: Sample) -> Sample:
        series = []
        for one in sample.series:
            index = keep(one.angles_deg)
            angles_deg = one.angles_deg[index]
            series.append(
                replace(
                    one,
                    images=one.images[index],
                    angles_deg=angles_deg,
                    excluded=np.zeros(len(angles_deg), bool),
                )
            )
        return replace(sample, series=tuple(series))

    return spoilt


def other_images(other: Sample, places: Callable[[int], NDArray[np.generic]]) -> Change:
    """Return the fault that some images show another specimen."""

    def spoilt(sample: Sample) -> Sample:
        mixed = sample.series[0].images.copy()
        index = places(len(mixed))
        mixed[index] = other.series[0].images[index]
        first = replace(sample.series[0], images=mixed)
        return replace(sample, series=(first, *sample.series[1:]))

    return spoilt


def turned(axis_deg: float) -> Change:
    """Return the fault that the tilt axis lies at an angle that the file does not name."""
    return images(
        lambda stack: np.stack(
            [ndimage.rotate(i, axis_deg, reshape=False, order=1, mode="nearest") for i in stack]
        )
    )


def shuffled(stack: Images) -> Images:
    """Mix the order of the images."""
    return stack[np.random.default_rng(1).permutation(len(stack))]


def half_shuffled(stack: Images) -> Images:
    """Swap each image with its neighbour in the second half."""
    order = np.arange(len(stack))
    half = len(order) // 2
    order[half:] = order[half:][::-1]
    return stack[order]


def drifting(px: float) -> Callable[[Images], Images]:
    """Blur each image along a random direction, as drift during the exposure does."""

    def change(stack: Images) -> Images:
        rng = np.random.default_rng(2)
        result = np.zeros_like(stack)
        for image, out in zip(stack, result, strict=True):
            along = rng.normal(size=2)
            along *= px / np.linalg.norm(along)
            shifts = [ndimage.shift(image, f * along, order=1, mode="nearest") for f in STEPS]
            out[:] = np.mean(shifts, axis=0)
        return result

    return change


STEPS = np.linspace(-0.5, 0.5, 9)


def blurred(sigma_px: float) -> Callable[[Images], Images]:
    """Blur all images."""
    return lambda stack: ndimage.gaussian_filter(stack, (0, sigma_px, sigma_px))


def clipped(share: float) -> Callable[[Images], Images]:
    """Saturate the brightest share of the object's pixels."""

    def change(stack: Images) -> Images:
        low = np.median(stack)
        bright = stack[stack > low + 0.2 * (stack.max() - low)]
        return np.minimum(stack, np.quantile(bright, 1 - share))

    return change


def inverted(stack: Images) -> Images:
    """Turn dark field into bright field."""
    return np.asarray(stack.max() - stack + 100, np.float32)


def levels(number: int) -> Callable[[Images], Images]:
    """Keep a few grey levels."""
    return lambda stack: np.asarray(np.round(stack / stack.max() * number), np.float32)


def film(share: float) -> Callable[[Images], Images]:
    """Add a film that covers half of the field up to a straight edge."""

    def change(stack: Images) -> Images:
        top = float(np.percentile(stack, 99.5) - np.median(stack))
        x = np.arange(stack.shape[2]) - stack.shape[2] * 0.6
        return stack + np.float32(share * top) / (1 + np.exp(x / 1.5)).astype(np.float32)

    return change


def gradient(share: float) -> Callable[[Images], Images]:
    """Add a slope across the field."""

    def change(stack: Images) -> Images:
        top = float(np.percentile(stack, 99.5) - np.median(stack))
        return stack + np.float32(share * top) * np.linspace(0, 1, stack.shape[2], dtype="f4")

    return change


def spikes(each: int) -> Callable[[Images], Images]:
    """Add spikes: single pixels far above the rest."""

    def change(stack: Images) -> Images:
        rng = np.random.default_rng(3)
        for image in stack:
            row, column = rng.integers(0, stack.shape[1], (2, each))
            image[row, column] = stack.max() * 3
        return stack

    return change


def hot(stack: Images) -> Images:
    """Fix three pixels at a high value, and the first column."""
    stack[:, [20, 33, 50], [30, 10, 44]] = stack.max() * 2
    stack[:, :, 0] *= 5
    return stack


def moire(stack: Images) -> Images:
    """Add a fixed pattern of stripes, with the period of a particle."""
    top = float(np.percentile(stack, 99.5) - np.median(stack))
    x = np.arange(stack.shape[2])
    wave = np.sin(2 * np.pi * (x[None, :] + 0.6 * x[:, None]) / 7.3)
    return stack + np.float32(0.15 * top) * wave.astype(np.float32)


def flicker(stack: Images) -> Images:
    """Vary the gain from image to image by 15 %."""
    gain = np.random.default_rng(4).normal(1, 0.15, len(stack))
    return np.asarray(stack * gain[:, None, None], np.float32)


def sheared(share: float) -> Callable[[Images], Images]:
    """Shear the scan."""

    def change(stack: Images) -> Images:
        middle = (stack.shape[1] - 1) / 2
        matrix = np.array([[1, 0], [share, 1.0]])
        return np.stack(
            [
                ndimage.affine_transform(
                    i, matrix, middle - matrix @ [middle, middle], order=1, mode="nearest"
                )
                for i in stack
            ]
        )

    return change


def mirrored(stack: Images) -> Images:
    """Mirror each image."""
    return stack[:, :, ::-1].copy()


def wrong_by(error_deg: float) -> Callable[[Array], Array]:
    """Add a random error to each angle."""
    return lambda angles_deg: (
        angles_deg + np.random.default_rng(0).normal(0, error_deg, len(angles_deg))
    )


def up_to(largest_deg: float) -> Callable[[Array], NDArray[np.intp]]:
    """Keep the images of a smaller tilt range."""
    return lambda angles_deg: np.flatnonzero(np.abs(angles_deg) <= largest_deg)


def magnified(factor: float, share: float = 1.0) -> Callable[[Images], Images]:
    """Record the first share of the images at a higher magnification."""

    def change(stack: Images) -> Images:
        middle = (np.array(stack.shape[1:]) - 1) / 2
        for image in stack[: round(share * len(stack))]:
            image[:] = ndimage.affine_transform(
                image, [1 / factor] * 2, middle * (1 - 1 / factor), order=1, mode="nearest"
            )
        return stack

    return change


def turned_in_black(stack: Images) -> Images:
    """Turn the images, as programs that align them do: their corners are black."""
    return np.stack([ndimage.rotate(i, 15.0, reshape=False, order=1) for i in stack])


def quadrants(stack: Images) -> Images:
    """Give the quadrants of the detector another gain each."""
    rows, columns = stack.shape[1] // 2, stack.shape[2] // 2
    stack[:, :rows, columns:] *= 1.05
    stack[:, rows:, :columns] *= 0.96
    stack[:, rows:, columns:] *= 1.08
    return stack


def clipped_below(share: float) -> Callable[[Images], Images]:
    """Subtract the background and a share of the signal; what is below is black."""

    def change(stack: Images) -> Images:
        level = np.percentile(stack, 5)
        black = level + share * (np.percentile(stack, 99.5) - level)
        return np.maximum(np.round(stack - black), 0)

    return change


def stretched(sample: Sample) -> Sample:
    """Stretch each image across the tilt axis by 1 / cos, as for an untilted film."""
    first = sample.series[0]
    middle = (first.images.shape[2] - 1) / 2
    factors = 1 / np.cos(np.deg2rad(first.angles_deg))
    wider = [
        ndimage.affine_transform(
            image, [1, 1 / factor], (0, middle * (1 - 1 / factor)), order=1, mode="nearest"
        )
        for image, factor in zip(first.images, factors, strict=True)
    ]
    images = np.stack(wider).astype(np.float32)
    return replace(sample, series=(replace(first, images=images), *sample.series[1:]))
