"""Protocol and simulator profile of a grid with several small assemblies."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

PLACES_NM = {
    "one": (0.0, 0.0),
    "two": (700.0, 100.0),
    "three": (-400.0, 560.0),
    "four": (500.0, -300.0),
}
EMPTY_NM = (-600.0, -400.0)
"""Place without an assembly."""
PROTOCOL = """
name = "small-grid"
[column]
simulator_settings = "simulator/small.toml"
[scan]
width_px = 56
height_px = 56
pixel_nm = 1.05
dwell_us = 20.0
[shower]
duration_s = 20.0
tilts_deg = [0.0]
[series_a]
start_deg = -60.0
stop_deg = 60.0
step_deg = 30.0
[series_b]
start_deg = -60.0
stop_deg = 60.0
step_deg = 30.0
[flip]
answers_itself = true
[limits]
dose_budget_e_per_A2 = 500000.0
[grid]
search_nm = 100.0
tolerance_nm = 30.0
"""
SIMULATOR = """
seed = {seed}
[specimen]
packing = "disordered"
assembly_diameter_nm = 38.0
other_assemblies_nm = {others}
"""
TARGET = '[[targets]]\nname = "{name}"\nx_nm = {x}\ny_nm = {y}\n'


def write_grid_protocol(
    folder: Path,
    places_nm: dict[str, tuple[float, float]],
    *,
    seed: int,
    specimen: str = "",
    column: str = "",
    assemblies_nm: Collection[tuple[float, float]] = PLACES_NM.values(),
) -> Path:
    """Write protocol and simulator profile; by default the assemblies lie at `PLACES_NM`.

    Parameters
    ----------
    places_nm
        Stage positions of the targets.
    specimen
        Further settings of the simulated specimen, and sections after it.
    column
        Further settings of the column.
    assemblies_nm
        Stage positions of the assemblies, the first at zero.
    """
    _, *others = assemblies_nm
    # a stage position brings what lies at its opposite into the image centre
    text = SIMULATOR.format(seed=seed, others=[[-x, -y] for x, y in others])
    (folder / "simulator").mkdir()
    (folder / "simulator" / "small.toml").write_text(text + specimen)
    path = folder / "small-grid.toml"
    targets = [TARGET.format(name=n, x=x, y=y) for n, (x, y) in places_nm.items()]
    path.write_text(PROTOCOL.replace("[scan]", f"{column}[scan]") + "".join(targets))
    return path
