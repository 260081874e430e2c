"""Tilt series of a small assembly as files, and `dualtilt process` of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from controller.app.cli import process
from processing import write_images
from processing.files.rawtlt import write_rawtlt
from tests.support.spheres import jittered, tilt_series

ANGLES = np.arange(-70.0, 75.0, 5.0)


def write_stack(folder: Path, name: str, points: np.ndarray) -> Path:
    taken = jittered(len(ANGLES), jitter_px=0.5, angle_error_deg=0.05, counts=500, seed=1)
    series = tilt_series(points, ANGLES, 7.0, 56, taken)
    write_images(folder / f"{name}.mrc", series.images, 0.9)
    write_rawtlt(folder / f"{name}.rawtlt", ANGLES)
    return folder / f"{name}.mrc"


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    process.add_arguments(parser)
    return process.run(parser.parse_args([str(argument) for argument in arguments]))


def small_stack(stacks: Path, scratch: Path, shape: tuple[int, int, int]) -> Path:
    """A stack without particles, of another number and size of images."""
    write_images(scratch / "small.mrc", np.zeros(shape, np.float32), 0.9)
    write_rawtlt(scratch / "small.rawtlt", ANGLES[: shape[0]])
    return scratch / "small.mrc"
