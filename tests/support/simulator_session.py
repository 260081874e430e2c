"""Protocol and simulator profile of a small session, for tests that start real processes."""

from __future__ import annotations

from pathlib import Path

PROTOCOL = """
name = "small-simulated"
[column]
simulator_settings = "simulator/small.toml"
[scan]
width_px = 56
height_px = 56
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
assembly_diameter_nm = 38.0
other_assemblies_nm = []
"""


def write_protocol(folder: Path, *, seed: int, more: str = "") -> Path:
    """Write protocol and simulator profile into a folder; `more` is appended to the protocol."""
    (folder / "simulator").mkdir()
    (folder / "simulator" / "small.toml").write_text(SIMULATOR.format(seed=seed))
    path = folder / "small.toml"
    path.write_text(PROTOCOL + more)
    return path


def write_holds(folder: Path, *steps: str) -> Path:
    """Write a list of faults that holds a session at each of these steps.

    The beam is lost there for longer than any test takes. :func:`release` lets a session pass.
    """
    path = folder / "holds.toml"
    fault = '[[fault]]\nkind = "beam-lost"\nat = "{step}"\nfor_s = 86400.0\n'
    path.write_text("".join(fault.format(step=step) for step in steps))
    return path


def release(session: Path, step: str) -> None:
    """Let the session, which must not be running, pass a step when it is resumed."""
    (path,) = (session / "simulator" / "faults").iterdir()
    path.write_text(path.read_text().replace(f'at = "{step}"', 'at = "no step"'))
