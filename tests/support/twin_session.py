"""A session of real processes over a small simulated specimen, as an operator would write it."""

from __future__ import annotations

from pathlib import Path

PROTOCOL = """
name = "small-twin"
[column]
simulator_settings = "twin/small.toml"
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
TWIN = """
seed = {seed}
[specimen]
packing = "disordered"
assembly_diameter_nm = 50.0
other_assemblies_nm = []
"""


def write_protocol(folder: Path, *, seed: int, more: str = "") -> Path:
    """Write protocol and twin into a folder; `more` is added to the protocol."""
    (folder / "twin").mkdir()
    (folder / "twin" / "small.toml").write_text(TWIN.format(seed=seed))
    path = folder / "small.toml"
    path.write_text(PROTOCOL + more)
    return path
