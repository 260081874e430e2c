"""Faults of film, detector and recording, applied to simulated images."""

from __future__ import annotations

import numpy as np

from tests.odd_specimens.scene import COUNTS_PER_NM, DARK_COUNTS, Float32, Scene, Spoil, signal
from tests.support.spheres import image as sphere_image


def film(share: float, edge_nm: float = 12.0, hole_nm: float = 400.0) -> Spoil:
    """Film of a share of the assembly's brightness, with the edge of a round hole under it."""

    def spoil(images: Float32, scene: Scene) -> None:
        level = share * signal(images)
        v, u = (axis * scene.size.field_px * scene.size.pixel_nm for axis in scene.grid())
        for image, view in zip(images, scene.views, strict=True):
            seen = np.stack([u - view.shift_nm[0], v - view.shift_nm[1]], axis=-1)
            points = seen @ view.matrix
            points += ((scene.size.film_nm - points[..., 2]) / view.beam[2])[..., None] * view.beam
            inside = hole_nm - np.hypot(points[..., 0] - edge_nm + hole_nm, points[..., 1])
            thickness = 1 / (1 + np.exp(np.clip(inside / 1.0, -40, 40)))
            image += scene.rng.poisson(level / 8 * thickness / abs(view.beam[2])) * 8

    return spoil


def gradients(share: float) -> Spoil:
    """A ramp in each image that turns slowly with the tilt."""

    def spoil(images: Float32, scene: Scene) -> None:
        level = share * signal(images)
        v, u = scene.grid()
        for number, image in enumerate(images):
            turn = number / 20
            image += level * (u * np.cos(turn) + v * np.sin(turn) + 2 * (u * v) + 1)

    return spoil


def contamination(images: Float32, scene: Scene) -> None:
    """Carbon that grows with every image, thicker in the middle of the scanned field."""
    level = 0.05 * signal(images)
    v, u = scene.grid()
    for number, image in enumerate(images):
        image += level * number / len(images) * np.exp(-(u**2 + v**2) / 0.25) * 2


def dark_level(images: Float32, scene: Scene) -> None:
    """A dark level that drifts by 400 counts."""
    images += np.linspace(0, 400, len(images))[:, None, None].astype(np.float32)


def stuck(images: Float32, scene: Scene) -> None:
    """Three pixels with a fixed value."""
    n = scene.size.field_px
    for row, column, value in ((0.18, 0.28, 65535), (0.54, 0.52, 9000), (0.8, 0.36, 3000)):
        images[:, int(row * n), int(column * n)] = value


def spikes(images: Float32, scene: Scene) -> None:
    """Two spikes in each image."""
    level = signal(images)
    for image in images:
        rows, columns = scene.rng.integers(0, scene.size.field_px, (2, 2))
        image[rows, columns] += level * scene.rng.uniform(0.5, 8, 2)


def flyback(images: Float32, scene: Scene) -> None:
    """Bright first columns."""
    images[:, :, 0] *= 5
    images[:, :, 1] *= 2


def bad_images(images: Float32, scene: Scene) -> None:
    """5 % of the images: blank, lost, or of half the height."""
    chosen = np.linspace(0.1, 0.9, max(2, round(0.05 * len(images)))) * len(images)
    for turn, section in enumerate(chosen.astype(int)):
        if turn % 3 == 0:
            images[section] = DARK_COUNTS
        elif turn % 3 == 1:
            images[section] = np.roll(images[section], (40, -30), (0, 1))
        else:
            images[section, scene.size.field_px // 2 :] = DARK_COUNTS


def loose(number: int) -> Spoil:
    """Single particles on the film around the assembly."""

    def spoil(images: Float32, scene: Scene) -> None:
        placed = np.random.default_rng(number)
        pixel_nm, radius_nm = scene.size.pixel_nm, scene.size.assembly_nm / 2
        turn = placed.uniform(0, 2 * np.pi, number)
        far = placed.uniform(radius_nm + 6, radius_nm + 45, number)
        height = np.full(number, scene.size.film_nm - 3)
        points = np.stack([far * np.cos(turn), far * np.sin(turn), height], axis=1)
        for image, view in zip(images, scene.views, strict=True):
            seen = view.project(points) / pixel_nm
            flat = np.column_stack([seen, np.zeros(number)])
            chords = sphere_image(flat, 0.0, 6.3 / pixel_nm, len(image), (0.0, 0.0, 0.0))
            image += scene.rng.poisson(chords * pixel_nm * COUNTS_PER_NM / 8) * 8

    return spoil


def flicker(images: Float32, scene: Scene) -> None:
    """A gain that varies by 15 % from image to image."""
    factors = np.clip(scene.rng.normal(1, 0.15, len(images)), 0.6, 1.4)
    images -= DARK_COUNTS
    images *= factors[:, None, None].astype(np.float32)
    images += DARK_COUNTS
