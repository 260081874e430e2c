"""Live residuals over the line and what was displaced: `python -m tests.report.residual_peaks DIR`.

Aligns the recorded images of a finished session again, one by one, as the live view does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from controller.report.report_data import read_report_data
from controller.service.session_status import RESIDUAL_LIMIT_PX
from processing.live.reconstruction import LiveReconstruction

Floats = NDArray[np.float64]


def shift_px(image: Floats, moved: Floats) -> Floats:
    """Return the shift (y, x) from one image to another: the maximum of their correlation."""
    spectra = [np.fft.rfft2(one - one.mean()) for one in (image, moved)]
    found = np.fft.irfft2(spectra[0] * spectra[1].conj(), image.shape)
    place = np.unravel_index(int(found.argmax()), found.shape)
    shift = []
    for axis, side in enumerate(found.shape):
        line = found[:, place[1]] if axis == 0 else found[place[0]]
        at = int(place[axis])
        low, top, high = line[at - 1], line[at], line[(at + 1) % side]
        exact = at + (low - high) / (2 * (low - 2 * top + high))
        shift.append((exact + side / 2) % side - side / 2)
    return np.array(shift)


def main() -> None:
    """Print residual and displacement of each tilt over the line."""
    folder = Path(sys.argv[1])
    data = read_report_data(folder)
    for name in ("A", "B"):
        images = np.asarray(mrcfile.read(folder / f"{name}.mrc"), np.float32)
        aligned = mrcfile.read(folder / "processed" / f"{name}_aligned.mrc")
        tilts = sorted(data.status.series[name].tilts, key=lambda tilt: tilt.frame.section)
        live = LiveReconstruction(images.shape[1:], data.summary["pixel_nm"])
        used, peaks = [], []
        for tilt in tilts:
            image = images[tilt.frame.section]
            found = live.add(tilt.frame.section, live.binned(image), tilt.frame.actual_deg)
            used.append(np.array(found.shift_px) - shift_px(image, aligned[tilt.frame.section]))
            if found.residual_px > RESIDUAL_LIMIT_PX:
                peaks.append((len(used) - 1, tilt.frame.actual_deg, found.residual_px))
        off = np.array(used) - np.median(used, axis=0)
        print(f"{name}: position used, from the final one, px (y, x): largest", end=" ")
        print(np.abs(off).max(axis=0).round(2))
        for place, angle, residual in peaks:
            print(f"  {angle:+.0f} deg: residual {residual:.2f} px, there {off[place].round(2)}")


if __name__ == "__main__":
    main()
