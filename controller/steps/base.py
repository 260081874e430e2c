"""What every step of a plan has: an id that never changes, its phase, and what it costs."""

from __future__ import annotations

from controller.events import Phase
from controller.microscope.interface import Data, NotNegative


class StepData(Data):
    """One step as data; each kind adds its own fields and is carried out by its own module."""

    id: str
    phase: Phase
    duration_s: NotNegative = 0.0
    """Estimated microscope time."""
    dose_e_per_A2: NotNegative = 0.0
    """Estimated; what is charged is what the exposures cost."""
