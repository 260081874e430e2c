"""One recorded frame: from the grid in its holder to the pixels of the detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from simulator import detector, imaging, stage
from simulator.deformation import share_reached
from simulator.grid import Grid, particles_in_holder
from simulator.settings import SimulatorSettings
from simulator.world import World, lost_assemblies


def record_frame(
    grid: Grid,
    world: World,
    stage_at_end: stage.StageTruth,
    scan: ScanSettings,
    settings: SimulatorSettings,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Record one frame [y, x], counts.

    Parameters
    ----------
    world
        State at the first pixel, its clock included.
    stage_at_end
        State of the stage at the last pixel.
    """
    shares = np.array([share_reached(dose, settings.specimen) for dose in world.doses_e_per_A2])
    scene = imaging.Scene(
        particles_in_holder(grid, shares, world.mount, lost_assemblies(world)),
        imaging.carbon_nm(max(world.doses_e_per_A2), settings.specimen),
        world.mount.scan_mirrored,
        imaging.focus_nm(world.defocus_nm, world.clock_s, settings.optics),
    )
    fraction = imaging.beam_fraction_image(
        scene,
        stage.true_pose(world.stage, world.clock_s, settings.stage),
        stage.true_pose(stage_at_end, world.clock_s + scan.frame_time_s, settings.stage),
        scan,
        settings,
        rng,
    )
    beam = detector.electrons_per_pixel(world.current_pA, scan.dwell_us)
    return detector.to_counts(fraction, beam, settings.detector, rng)
