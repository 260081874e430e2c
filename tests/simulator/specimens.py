"""Small specimens and error-free settings shared by several tests."""

from __future__ import annotations

from typing import Any

from controller.model.scan import ScanSettings
from simulator.settings import SimulatorSettings

SCAN = ScanSettings(width_px=96, height_px=96, pixel_nm=0.9, dwell_us=10.0)
"""Field of 86 nm, larger than the assembly of 60 nm."""


def small_settings(**changes: dict[str, Any]) -> SimulatorSettings:
    """Return settings with an assembly of 60 nm and these changes per section."""
    sections: dict[str, Any] = {
        "seed": 3,
        "specimen": {"assembly_diameter_nm": 60.0, "other_assemblies_nm": [(300.0, 0.0)]},
    }
    for name, section in changes.items():
        sections[name] = {**sections.get(name, {}), **section}
    return SimulatorSettings.model_validate(sections)


def error_free_settings(**changes: dict[str, Any]) -> SimulatorSettings:
    """Return settings with a perfect stage, scan and remount and no shrinkage: geometry only."""
    sections: dict[str, dict[str, Any]] = {
        "specimen": {"shrinkage": 0.0},
        "stage": {
            "jitter_nm": 0.0,
            "tilt_error_deg": 0.0,
            "drift_nm": 0.0,
            "backlash_deg": 0.0,
            "backlash_nm": 0.0,
            "eucentric_error_nm": 0.0,
        },
        "scan": {"line_jitter_px": 0.0},
        "remount": {"seat_tilt_deg": 0.0, "shift_nm": 0.0},
    }
    for name, section in changes.items():
        sections[name] = {**sections.get(name, {}), **section}
    return small_settings(**sections)
