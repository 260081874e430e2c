"""Values that one source gives for a tilt series, together with the source's name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SaidValue:
    """A number and the name of its source, for messages."""

    source: str
    value: float


@dataclass(frozen=True)
class SaidAngles:
    """Tilt angles (degrees) [image], in the order of the images, and their source.

    `excluded` [image] marks images that must not be used; empty if the source marks none.
    """

    source: str
    angles_deg: NDArray[np.float64]
    excluded: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
