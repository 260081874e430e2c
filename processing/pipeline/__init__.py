"""The whole way: a tilt series to its particles, two series to one volume and its particles.

a = process_series(load_tilt_series(Path("A.mrc"), name="A"), settings)
b = process_series(load_tilt_series(Path("B.mrc"), name="B"), settings)
fused = combine_series(a, b, settings)
"""

from processing.pipeline.diameter import ImpossibleDiameterError, require_possible_diameter
from processing.pipeline.dual import FusedResult, combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import SeriesResult, process_series

__all__ = [
    "FusedResult",
    "ImpossibleDiameterError",
    "ProcessSettings",
    "SeriesResult",
    "combine_series",
    "process_series",
    "require_possible_diameter",
]
