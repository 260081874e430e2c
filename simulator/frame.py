"""What the detector gives of the world: one frame, from the grid in its holder to the pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.microscope.interface import ScanSettings
from simulator import detector, imaging, stage
from simulator.grid import Grid, in_holder, size_after
from simulator.settings import SimulatorSettings
from simulator.world import World


def pixels(
    grid: Grid,
    world: World,
    there: stage.StageTruth,
    scan: ScanSettings,
    settings: SimulatorSettings,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Take the frame [y, x].

    Parameters
    ----------
    world
        As it is at the first pixel, its clock included.
    there
        The stage at the last pixel.
    """
    sizes = np.array([size_after(dose, settings.specimen) for dose in world.doses_e_per_A2])
    scene = imaging.Scene(
        in_holder(grid, sizes, world.mount),
        imaging.carbon_nm(max(world.doses_e_per_A2), settings.specimen),
        world.mount.scan_mirrored,
        imaging.focus_nm(world.defocus_nm, world.clock_s, settings.optics),
    )
    share = imaging.expose(
        scene,
        stage.pose(world.stage, world.clock_s, settings.stage),
        stage.pose(there, world.clock_s + scan.frame_time_s, settings.stage),
        scan,
        settings,
        rng,
    )
    beam = detector.electrons_per_pixel(world.current_pA, scan.dwell_us)
    return detector.record(share, beam, settings.detector, rng)
