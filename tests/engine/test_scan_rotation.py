"""Rotation of the scan against the stage, measured on maps of the simulated grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from controller.hardware.interface import Frame
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.procedures.flip.scan_axes import ScanAxes
from controller.procedures.flip.scan_rotation import ImageAt, measure_rotation
from simulator.microscope import create
from simulator.settings import SimulatorSettings

SCAN = ScanSettings(width_px=64, height_px=64, pixel_nm=16.0, dwell_us=4.0)
OTHERS_NM = ((330.0, 120.0), (-260.0, 300.0))


def stage_of(
    rotation_deg: float, others_nm: tuple[tuple[float, float], ...], error_nm: float
) -> ImageAt:
    """Return the function that moves the stage and takes a map.

    Parameters
    ----------
    error_nm
        Standard deviation of the place where the stage stops, which it does not report.
    """
    settings = {
        "specimen": {"assembly_diameter_nm": 40.0, "other_assemblies_nm": others_nm},
        "scan": {"rotation_deg": rotation_deg},
    }
    microscope = create(SimulatorSettings.model_validate(settings))
    microscope.set_current("current", 70.0)
    numbers, rng = itertools.count(), np.random.default_rng(6)

    def image_at(x_nm: float, y_nm: float) -> Frame:
        number = next(numbers)
        off_nm = rng.normal(0.0, error_nm, 2)
        place = StagePosition(x_nm=x_nm + off_nm[0], y_nm=y_nm + off_nm[1])
        microscope.move_stage(f"move-{number}", place)
        frame = microscope.acquire(f"map-{number}", SCAN)
        reported = frame.info.stage.model_copy(update={"x_nm": x_nm, "y_nm": y_nm})
        return Frame(frame.info.model_copy(update={"stage": reported}), frame.pixels)

    return image_at


def mirrored(image_at: ImageAt) -> ImageAt:
    def mirrored_at(x_nm: float, y_nm: float) -> Frame:
        frame = image_at(x_nm, y_nm)
        return Frame(frame.info, np.ascontiguousarray(frame.pixels[:, ::-1]))

    return mirrored_at


@pytest.mark.parametrize("others_nm", [(), OTHERS_NM], ids=["one assembly", "three assemblies"])
@pytest.mark.parametrize("rotation_deg", [-170.0, -12.0, 0.0, 2.0, 5.0, 33.0, 90.0])
def test_the_rotation_is_measured_within_a_degree(
    rotation_deg: float, others_nm: tuple[tuple[float, float], ...]
) -> None:
    axes = measure_rotation(stage_of(rotation_deg, others_nm, 0.0), (0.0, 0.0), SCAN, 0.0)
    assert axes is not None
    off_deg = (axes.rotation_deg - rotation_deg + 180) % 360 - 180
    assert abs(off_deg) < 1.0
    assert bool(axes.fault) is (abs(rotation_deg) > 4.0)


@pytest.mark.parametrize("error_nm", [10.0, 40.0])
def test_an_inexact_stage_is_no_rotated_scan(error_nm: float) -> None:
    axes = measure_rotation(stage_of(0.0, OTHERS_NM, error_nm), (0.0, 0.0), SCAN, 0.0)
    assert axes is None or not axes.fault


@pytest.mark.parametrize(
    ("change", "axis_deg", "fault"),
    [
        pytest.param(mirrored, 0.0, "the scan is mirrored", id="mirrored"),
        pytest.param(None, 30.0, "the scan is rotated by about 33", id="wrong protocol"),
    ],
)
def test_a_fault_of_the_scan_is_named(
    change: Callable[[ImageAt], ImageAt] | None, axis_deg: float, fault: str
) -> None:
    image_at = stage_of(0.0, OTHERS_NM, 0.0)
    changed = image_at if change is None else change(image_at)
    axes = measure_rotation(changed, (0.0, 0.0), SCAN, axis_deg)
    assert axes is not None and axes.fault.startswith(fault)


def test_maps_without_an_assembly_tell_nothing() -> None:
    far_nm = (9000.0, 9000.0)
    assert measure_rotation(stage_of(30.0, (), 0.0), far_nm, SCAN, 0.0) is None


@pytest.mark.parametrize(
    ("limit_deg", "says"), [(3.0, "tilt_axis_deg = 12"), (20.0, "tilt_axis_deg = 10")]
)
def test_the_remedy_is_as_exact_as_the_measurement(limit_deg: float, says: str) -> None:
    turn = np.radians(12.3)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert ScanAxes(matrix, 0.0, limit_deg).remedy.endswith(says)
