"""Experiments of the paper as data: what each varies on the simulated microscope.

Source: Altantzis, Wang, Kadu, van Blaaderen and Bals, J. Phys. Chem. C 2021, 125, 26240.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from pydantic import Field

from controller.model.base import Data

PAPER_COUNTS = {"A": 6988, "B": 6092, "fused": 7116}
"""Particles that the paper found in series A, in series B, and in both."""
PIXEL_NM = 1.4
"""Coarse pixels, so that all experiments end soon: 4.5 pixels for a particle."""
DWELL_US, CURRENT_PA = 5.0, 70.0
SHOWER_E_PER_A2 = 5800.0
"""Dose of the beam shower: 40 pA for 300 s on a square of 360 nm."""
FIRST_SEED = 2021
SIMULATOR: dict[str, Any] = {
    "specimen": {"packing": "multi-grain"},
    "remount": {"in_plane_deg": 90.0},
}
"""The paper's assembly of 165 nm; all other settings are the simulator's."""


class Experiment(Data):
    """One simulated recording, and what it varies.

    Attributes
    ----------
    simulator
        Settings of the simulator that differ from `SIMULATOR`, by section.
    """

    name: str
    width_px: int = 138
    """Width and height of the images."""
    simulator: dict[str, dict[str, Any]] = Field(default_factory=dict)
    step_deg: float = 2.0
    """Tilt step of both series (degrees)."""
    dose: float = 1.0
    """Dose of a frame, relative to the usual one."""
    shower: bool = True
    series_b: bool = True
    """False: series A alone is recorded."""
    resolution: bool = False
    """Measure the resolution of the volumes, too."""
    seed: int = FIRST_SEED

    def settings(self) -> dict[str, Any]:
        """Return the settings of the simulator."""
        sections = {**SIMULATOR, "seed": self.seed}
        for section, changed in self.simulator.items():
            sections[section] = {**sections.get(section, {}), **changed}
        return sections


BLURRED_STEP_DEG = 6.0
"""Tilt step of the experiments on the flat side (degrees): at this one single series miss about as
many particles of other disordered assemblies as in the paper (docs/calibration.md)."""


def _blurred(name: str, seed: int, **specimen: float) -> Experiment:
    """Return an experiment on the flat side."""
    specimen_settings = {"packing": "disordered", **specimen}
    return Experiment(
        name=name,
        seed=seed,
        step_deg=BLURRED_STEP_DEG,
        simulator={"specimen": specimen_settings},
    )


class MainExperiments(NamedTuple):
    """Names of the main experiments."""

    usual: str
    narrow: str
    no_shower: str
    one_series: str

    def at_step(self, step_deg: float) -> MainExperiments:
        """Return the names of the same experiments with other tilts."""
        return MainExperiments(*(f"{name}; tilts every {step_deg:g} degrees" for name in self))

    def experiments(self, step_deg: float) -> tuple[Experiment, ...]:
        """Return the experiments. A series gets the same dose with all tilt steps."""
        step = partial(Experiment, step_deg=step_deg, dose=step_deg / PAPER_STEP_DEG)
        return (
            step(name=self.usual, resolution=True),
            step(
                name=self.narrow,
                resolution=True,
                simulator={"optics": {"convergence_mrad": 1.5}},
            ),
            step(name=self.no_shower, shower=False),
            step(name=self.one_series, dose=2 * step_deg / PAPER_STEP_DEG, series_b=False),
        )


MAIN = MainExperiments(
    usual="as in the paper",
    narrow="1.5 mrad instead of 8",
    no_shower="no beam shower",
    one_series="one series of twice the dose",
)
PAPER_STEP_DEG, QUICK_STEP_DEG = 2.0, 3.0
"""Tilt step of the paper, and that of `dualtilt reproduce --quick` (degrees)."""
QUICK_MAIN = MAIN.at_step(QUICK_STEP_DEG)
USUAL = MAIN.usual
PARALLEL = "in-plane angle 0 instead of 90 degrees"
OTHER_SEEDS = {f"{USUAL}, seed {seed}": seed for seed in range(1, 8)}
SEEDS = {USUAL: FIRST_SEED, **OTHER_SEEDS}
BLURRED_SEEDS = range(11, 19)
"""Seeds of the experiments on the flat side; none of them was used to choose their settings."""
BLURRED_NAME = f"disordered, tilts every {BLURRED_STEP_DEG:g} degrees"
BLURRED = {f"{BLURRED_NAME}, seed {seed}": seed for seed in BLURRED_SEEDS}
"""About as many particles are missed by single series as in the paper, and on the exit side. There
are no grains, which move the difference of A and B more than a flat side. A and B have as many
tilts, over mirrored ranges, so that they differ in the exit side alone."""
WITHOUT_FLAT_SIDE = {
    f"{BLURRED_NAME}, without a flat side, seed {seed}": seed for seed in BLURRED_SEEDS
}
"""Whole spheres of the same particles as those of `BLURRED`, in the same order."""
TILT_STEPS_DEG = {f"tilts every {step:g} degrees": step for step in (4.0, 8.0, 12.0)}
DOSE_SHARES = {f"1/{part} of the dose": 1 / part for part in (3, 10, 30, 100, 300)}

QUICK = tuple(
    each
    for each in QUICK_MAIN.experiments(QUICK_STEP_DEG)
    if each.name != QUICK_MAIN.no_shower  # three end in five minutes
)
"""Experiments of `dualtilt reproduce --quick`."""

WHOLE = (
    *MAIN.experiments(PAPER_STEP_DEG),
    *(Experiment(name=name, seed=seed) for name, seed in OTHER_SEEDS.items()),
    Experiment(name=PARALLEL, simulator={"remount": {"in_plane_deg": 0.0}}),
    *(_blurred(name, seed) for name, seed in BLURRED.items()),
    *(_blurred(name, seed, flattening=0.0) for name, seed in WITHOUT_FLAT_SIDE.items()),
    *(Experiment(name=name, step_deg=step) for name, step in TILT_STEPS_DEG.items()),
    *(Experiment(name=name, dose=share) for name, share in DOSE_SHARES.items()),
)
"""All experiments."""
