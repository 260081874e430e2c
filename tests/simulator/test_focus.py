"""Focus, focus drift, and stray particles beside the assembly for autofocus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from simulator.grid import make_grid
from simulator.microscope import SimulatedMicroscope, create
from tests.simulator.specimens import error_free_settings

SCAN = ScanSettings(width_px=128, height_px=128, pixel_nm=0.5, dwell_us=40.0)
LONE_ASSEMBLY = {"other_assemblies_nm": [], "assembly_diameter_nm": 14.0}


def simulated(**sections: dict[str, Any]) -> SimulatedMicroscope:
    microscope = create(error_free_settings(**{"specimen": LONE_ASSEMBLY, **sections}))
    microscope.set_current("current", 200.0)
    return microscope


def sharpness(microscope: SimulatedMicroscope, name: str) -> float:
    """Return the mean squared gradient of an image; defocus reduces it."""
    image: NDArray[np.float64] = microscope.acquire(name, SCAN).pixels.astype(float)
    return float(np.square(np.diff(image, axis=0)).mean())


def sharpest(microscope: SimulatedMicroscope, focus_nm: list[float]) -> float:
    def at(defocus_nm: float) -> float:
        microscope.set_defocus(f"to {defocus_nm}", defocus_nm)
        return sharpness(microscope, f"at {defocus_nm}")

    return max(focus_nm, key=at)


@pytest.mark.parametrize(
    ("sections", "stage", "expected_nm"),
    [
        pytest.param({}, StagePosition(), 0.0, id="in focus"),
        pytest.param({"optics": {"focus_error_nm": 200.0}}, StagePosition(), -200.0, id="focus"),
        pytest.param({}, StagePosition(z_nm=200.0), 200.0, id="specimen raised"),
        pytest.param(
            {"stage": {"eucentric_error_nm": 100.0}}, StagePosition(alpha_deg=60.0), 200.0,
            id="re-centred at a tilt",
        ),
    ],
)  # fmt: skip
def test_the_image_is_sharp_where_the_focus_is_at_the_specimen(
    sections: dict[str, Any], stage: StagePosition, expected_nm: float
) -> None:
    microscope = simulated(**sections)
    if stage.alpha_deg:  # off the tilt axis by its height: shift it back into view
        stage = stage.model_copy(update={"x_nm": -100.0 * np.tan(np.deg2rad(stage.alpha_deg))})
    microscope.move_stage("position", stage)
    focus_nm = [-200.0, -100.0, 0.0, 100.0, 200.0]
    assert sharpest(microscope, focus_nm) == expected_nm


def test_the_focus_drifts_with_time() -> None:
    microscope = simulated(optics={"focus_drift_nm_per_h": 100.0})
    before = sharpest(microscope, [-200.0, 0.0, 200.0])
    microscope.wait(7200.0)
    microscope.set_defocus("back", 0.0)
    assert before == 0.0
    blurred = sharpness(microscope, "late")
    microscope.set_defocus("follow", -200.0)
    assert sharpness(microscope, "late, corrected") > 1.2 * blurred


def test_stray_particles_lie_on_the_film_away_from_the_assembly() -> None:
    settings = error_free_settings(
        specimen={"stray_particles_per_um2": 100.0, "other_assemblies_nm": []}
    )
    stray = make_grid(settings.specimen, settings.seed).stray_particles
    assert len(stray) == pytest.approx(2500, rel=0.1)
    assert np.hypot(*stray.centres_nm[:, :2].T).min() > 45.0
    height_nm = 60.0 * (0.5 - settings.specimen.flattening)
    np.testing.assert_allclose(stray.centres_nm[:, 2] + stray.diameters_nm / 2.0, height_nm)
    microscope = create(settings)
    microscope.move_stage("to film", StagePosition(y_nm=-500.0))
    wide = SCAN.model_copy(update={"width_px": 256, "height_px": 256, "pixel_nm": 1.0})
    image = microscope.acquire("film", wide).pixels
    film = np.median(image)
    # bright area, in cross-sections of one particle
    assert 3 <= np.count_nonzero(image > 2 * film) / (np.pi / 4 * 6.3**2) <= 20
