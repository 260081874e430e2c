"""Protocol and simulator profile of a small session, for tests that start real processes."""

from __future__ import annotations

from pathlib import Path

PROTOCOL = """
name = "small-simulated"
[column]
simulator_settings = "simulator/small.toml"
[scan]
width_px = 72
height_px = 72
pixel_nm = 1.05
dwell_us = 20.0
[shower]
duration_s = 100.0
[flip]
answers_itself = true
[limits]
dose_budget_e_per_A2 = 500000.0
"""
SIMULATOR = """
seed = {seed}
[specimen]
packing = "disordered"
assembly_diameter_nm = 50.0
other_assemblies_nm = []
"""


def write_protocol(folder: Path, *, seed: int, more: str = "") -> Path:
    """Write protocol and simulator profile into a folder; `more` is appended to the protocol."""
    (folder / "simulator").mkdir()
    (folder / "simulator" / "small.toml").write_text(SIMULATOR.format(seed=seed))
    path = folder / "small.toml"
    path.write_text(PROTOCOL + more)
    return path
