"""Two series of large images in a folder: `python -m tests.benchmarks.large_series SIDE FOLDER`.

Both are simulated: the assembly of the paper, 165 nm, in 73 + 74 images with the dose of the
paper's frames. It takes one minute at 1024 x 1024 pixels and four at 2048 x 2048.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from processing import write_images
from processing.files.rawtlt import write_rawtlt
from simulator.specimen import Particles
from tests.benchmarks.data import A_DEG, B_DEG, recorded

ASSEMBLY_NM = 165.0
SCANS = {512: (0.4, 2.4), 1024: (0.2, 0.6), 2048: (0.1, 0.15)}
"""Pixel size (nm) and dwell time (us) for each width of the images."""
TRUTH = "truth.npz"


def write_series(side: int, folder: Path) -> None:
    """Simulate both series and write them with their truth, unless the folder holds them."""
    if (folder / TRUTH).exists():
        return
    pixel_nm, dwell_us = SCANS[side]
    dual = recorded(ASSEMBLY_NM, side, pixel_nm, dwell_us)
    folder.mkdir(parents=True, exist_ok=True)
    for name, series, angles_deg in (("A", dual.a, A_DEG), ("B", dual.b, B_DEG)):
        write_images(folder / f"{name}.mrc", series.counts, pixel_nm)
        write_rawtlt(folder / f"{name}.rawtlt", angles_deg)
    truth = dual.truth
    np.savez(folder / TRUTH, centres_nm=truth.centres_nm, diameters_nm=truth.diameters_nm)


def read_truth(folder: Path) -> Particles:
    """Read the particles of a folder's series."""
    with np.load(folder / TRUTH) as truth:
        return Particles(truth["centres_nm"], truth["diameters_nm"])


if __name__ == "__main__":
    write_series(int(sys.argv[1]), Path(sys.argv[2]))
