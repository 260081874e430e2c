"""Section `column`: the microscope that a session needs."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import field_validator

from controller.model.base import Settings
from controller.model.plausible import COLLECTION, CONVERGENCE, TILT_AXIS, VOLTAGE


class ColumnSettings(Settings):
    """Microscope of the protocol; compared with the connected one before the start."""

    kind: Literal["simulator", "bridge"] = "simulator"
    """Kind of microscope: the simulator, or a real column served by `dualtilt bridge` on its PC."""
    simulator_settings: str = "simulator/demo.toml"
    """Path of the simulator's profile, relative to the folder of the protocol."""
    voltage_kV: Annotated[float, VOLTAGE] = 300.0
    """Acceleration voltage (kV)."""
    convergence_mrad: Annotated[float, CONVERGENCE] = 8.0
    """Convergence semi-angle of the probe (mrad)."""
    inner_collection_mrad: Annotated[float, COLLECTION] = 62.0
    """Inner collection semi-angle of the HAADF detector (mrad)."""
    tilt_axis_deg: Annotated[float, TILT_AXIS] = 0.0
    """Direction of the tilt axis in the images, from +y towards -x (degrees): the rotation of the
    scan against the stage."""

    @field_validator("simulator_settings")
    @classmethod
    def _beside_the_protocol(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be a path relative to the protocol's folder, without '..'")
        return value
