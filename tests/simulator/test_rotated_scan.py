"""A scan that is rotated against the stage shows the same specimen, turned by that angle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.procedures.tracking.locate import locate_object
from controller.procedures.tracking.stage_image import centring_position
from processing.images.upright import turned_upright, upright_shape
from simulator.microscope import create
from simulator.settings import SimulatorSettings

SCAN = ScanSettings(width_px=96, height_px=96, pixel_nm=1.0, dwell_us=200.0)
TILT_DEG = 40.0
ERRORS = ("backlash_deg", "backlash_nm", "jitter_nm", "tilt_error_deg", "drift_nm")
STEADY_STAGE = dict.fromkeys(ERRORS, 0.0)
ANGLES_DEG = [10.0, 45.0, 90.0, -170.0]


def image(rotation_deg: float, stage: StagePosition) -> NDArray[np.generic]:
    """Record one frame of an assembly of 40 nm on a stage without errors."""
    microscope = create(
        SimulatorSettings.model_validate(
            {
                "specimen": {"assembly_diameter_nm": 40.0, "other_assemblies_nm": ()},
                "stage": STEADY_STAGE,
                "scan": {"rotation_deg": rotation_deg, "line_jitter_px": 0.0},
            }
        )
    )
    microscope.set_current("current", 70.0)
    microscope.move_stage("move", stage)
    return microscope.acquire("frame", SCAN).pixels


@pytest.mark.parametrize("rotation_deg", ANGLES_DEG)
def test_turned_upright_it_is_the_image_of_a_parallel_scan(rotation_deg: float) -> None:
    stage = StagePosition(alpha_deg=TILT_DEG, x_nm=8.0, y_nm=-5.0)
    parallel, rotated = image(0.0, stage), image(rotation_deg, stage)
    upright = turned_upright(rotated, rotation_deg)
    assert upright.shape == upright_shape(rotated.shape, rotation_deg)
    inside = np.s_[20:-20, 20:-20]
    before = np.corrcoef(parallel[inside].ravel(), rotated[inside].ravel())[0, 1]
    after = np.corrcoef(parallel[inside].ravel(), upright[inside].ravel())[0, 1]
    assert after > 0.97 and before < 0.9


@pytest.mark.parametrize("rotation_deg", ANGLES_DEG)
def test_the_stage_centres_what_a_rotated_and_tilted_image_shows(rotation_deg: float) -> None:
    stage = StagePosition(alpha_deg=TILT_DEG, x_nm=20.0, y_nm=-9.0)
    seen = locate_object(image(rotation_deg, stage))
    assert seen is not None and seen.distance_px > 10
    centred = centring_position(stage, seen.offset_px, SCAN.pixel_nm, rotation_deg)
    again = locate_object(image(rotation_deg, centred))
    assert again is not None and again.distance_px < 2
