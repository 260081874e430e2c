"""Particles that the path of the beam hides from A or B: `python -m tests.accuracy.exit_side`.

The specimens are those on which `dualtilt reproduce` tests the flat side, and the same as whole
spheres. Nothing is recorded or reconstructed: the energy of each particle's own image, after the
gold that the beam has crossed above it, is summed over the tilts. Both series have the same tilts.
A particle with little energy is the first to be missed. The table compares the shares of A and B
below one threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from controller.app.paper.experiments import BLURRED, DWELL_US, PIXEL_NM, WHOLE
from controller.model.scan import ScanSettings
from simulator.optics import PIXELS_PER_DIAMETER, crossed_gold_nm
from simulator.raster import Raster
from simulator.settings import SimulatorSettings
from simulator.specimen import Particles, make_assembly
from simulator.transfer_basis import TransferBasis, transfer_basis

Array = NDArray[np.float64]

TILTS_DEG = np.arange(-72.0, 73.0, 6.0)
HIDDEN = (0.02, 0.05, 0.1)
"""Shares of the particles of A and B together below the threshold."""
FLAT_SIDES = (0.0, 0.1, 0.2)
"""Parts of the diameter that are missing; the simulator's is 0.1."""
MOST_CROSSED_NM, FARTHEST_NM = 160.0, 100.0


def energies(particles: Particles, basis: TransferBasis, *, flipped: bool) -> Array:
    """Return the energy [n] of the image of each particle, summed over the tilts."""
    mounted = particles.centres_nm * (1.0, -1.0, -1.0) if flipped else particles.centres_nm
    summed = np.zeros(len(particles))
    for tilt_deg in TILTS_DEG:
        tilt = Rotation.from_euler("y", tilt_deg, degrees=True)
        tilted = particles.moved(tilt.apply(mounted), tilt)
        heights_nm = np.abs(tilted.centres_nm[:, 2])
        weights = basis.weights(particles.diameters_nm, crossed_gold_nm(tilted), heights_nm)
        summed += (weights.astype(np.float64) ** 2).sum(axis=1)
    return summed


def hidden_shares(a: Array, b: Array) -> Array:
    """Return the shares [threshold, (A, B)] of the particles below the thresholds of `HIDDEN`."""
    thresholds = np.quantile(np.concatenate([a, b]), HIDDEN)
    return np.array([[(each < limit).mean() for each in (a, b)] for limit in thresholds])


def row(flattening: float, shares: Array) -> str:
    """Return a row of the table for shares [specimen, threshold, (A, B)]."""
    mean = 100 * shares.mean(axis=0)
    lead = 100 * (shares[..., 1] - shares[..., 0])
    error = lead.std(axis=0, ddof=1) / np.sqrt(len(lead))
    cells = (
        f"{in_a:.2f} / {in_b:.2f} ({by:+.2f} ± {within:.2f})"
        for (in_a, in_b), by, within in zip(mean, lead.mean(axis=0), error, strict=True)
    )
    return f"| {flattening:g} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    width_px = WHOLE[0].width_px
    scan = ScanSettings(width_px=width_px, height_px=width_px, pixel_nm=PIXEL_NM, dwell_us=DWELL_US)
    chosen = [one for one in WHOLE if one.name in BLURRED]
    optics = SimulatorSettings().optics
    diameter_nm = SimulatorSettings().specimen.particle_diameter_nm
    raster = Raster.for_scan(scan, diameter_nm / PIXELS_PER_DIAMETER)
    sizes_nm = (0.9 * diameter_nm, 1.1 * diameter_nm)
    basis = transfer_basis(raster, optics, sizes_nm, MOST_CROSSED_NM, FARTHEST_NM)
    heads = (f"A / B, % of {share:.0%} (lead of A)" for share in HIDDEN)
    print(f"| flat side | {' | '.join(heads)} |", "|---" * (1 + len(HIDDEN)) + "|", sep="\n")
    for flattening in FLAT_SIDES:
        shares = []
        for one in chosen:
            settings = SimulatorSettings.model_validate(one.settings())
            specimen = settings.specimen.model_copy(update={"flattening": flattening})
            particles = make_assembly(specimen, settings.seed)
            a, b = (energies(particles, basis, flipped=flipped) for flipped in (False, True))
            shares.append(hidden_shares(a, b))
        print(row(flattening, np.array(shares)), flush=True)


if __name__ == "__main__":
    main()
