"""Plausible ranges of settings: a value outside them has the wrong unit or a slipped point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Within:
    """Range of a number in a settings file; the ends are allowed.

    Attributes
    ----------
    low, high
        Smallest and largest value that occurs in practice.
    unit
        Unit as shown in messages.
    """

    low: float
    high: float
    unit: str

    def wrong(self, value: float) -> str:
        """Return what is wrong with a value; empty if it is plausible."""
        if self.low <= value <= self.high:
            return ""
        return f"must be {self.low:g} to {self.high:g} {self.unit}; check its unit"

    def check(self, value: float) -> float:
        """Return the value if it is plausible; pydantic reports the error."""
        if wrong := self.wrong(value):
            raise PydanticCustomError("implausible", "{wrong}", {"wrong": wrong})
        return value

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "minimum": self.low, "maximum": self.high}


VOLTAGE = Within(20, 3000, "kV")
"""Acceleration voltage, from scanning microscopes in transmission to the largest columns."""
CONVERGENCE = Within(0.05, 200, "mrad")
COLLECTION = Within(0.5, 500, "mrad")
CURRENT = Within(0.1, 100_000, "pA")
PIXEL = Within(0.001, 50, "nm")
"""Pixel size, from atoms to whole cells."""
DWELL = Within(0.01, 10_000, "µs")
"""Dwell time of one pixel."""
TILT_AXIS = Within(-180, 180, "degrees")
"""Angle of the tilt axis in the images: a line, of which both directions are named."""
DIAMETER = Within(0.05, 2000, "nm")
"""Particle diameter, from single atoms to particles that still let electrons through."""
ASSEMBLY = Within(0.5, 5000, "nm")
"""Diameter of an assembly, from a few atoms to what the beam still penetrates."""
FILM = Within(0, 1000, "nm")
"""Thickness of a film on the grid."""
MEMORY = Within(0.01, 100_000, "GB")
"""Memory for volumes, from those of 100 pixels a side to the largest computers."""
LEASE = Within(0.1, 120, "s")
"""Time after which a column without a session is made safe."""
POSITION_ERROR = Within(0.0001, 100, "nm")
"""Standard deviation of one coordinate of a particle."""
FIELD = Within(1, 200_000, "nm")
"""Side of an illuminated square."""
SHOWER_TIME = Within(0.01, 86_400, "s")
SEARCH = Within(1, 500_000, "nm")
"""Shift of a grid in its holder; the number of survey maps limits it further."""
TOLERANCE = Within(0.1, 10_000, "nm")
"""Distance of a target from the common fit; farther away lie its neighbours."""
