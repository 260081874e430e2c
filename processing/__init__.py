"""Processing of dual tilt series: from MRC files to particle tables, without a microscope.

A notebook imports what it needs from here::

    from processing import ProcessSettings, combine_series, load_tilt_series, process_series

Importing this package is cheap: each name is loaded from its module when it is first used, so that
scipy, ASTRA and mrcfile are not imported before they are needed. docs/tutorial.md shows the names
at work.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from processing.errors import (
        ImpossibleDiameterError,
        InputFileError,
        ProcessingError,
        RegistrationRefusedError,
    )
    from processing.files.mrc import MrcStack, read_stack, write_images, write_volume
    from processing.files.particles import ParticleTable, read_csv, read_xyz, write_csv, write_xyz
    from processing.files.tilt_series import load_tilt_series
    from processing.pipeline.detect import Detection
    from processing.pipeline.dual import FusedResult, combine_series
    from processing.pipeline.results_folder import (
        read_series_result,
        write_fused_result,
        write_series_result,
        write_summary,
    )
    from processing.pipeline.series_search import SeriesResult
    from processing.pipeline.settings import ProcessSettings
    from processing.pipeline.single import process_series
    from processing.progress import Progress
    from processing.results import (
        Count,
        Counts,
        Diameter,
        Fusion,
        Registration,
        SeriesSummary,
        Summary,
    )
    from processing.series import TiltSeries

__all__ = [
    "Count",
    "Counts",
    "Detection",
    "Diameter",
    "FusedResult",
    "Fusion",
    "ImpossibleDiameterError",
    "InputFileError",
    "MrcStack",
    "ParticleTable",
    "ProcessSettings",
    "ProcessingError",
    "Progress",
    "Registration",
    "RegistrationRefusedError",
    "SeriesResult",
    "SeriesSummary",
    "Summary",
    "TiltSeries",
    "combine_series",
    "load_tilt_series",
    "process_series",
    "read_csv",
    "read_series_result",
    "read_stack",
    "read_xyz",
    "write_csv",
    "write_fused_result",
    "write_images",
    "write_series_result",
    "write_summary",
    "write_volume",
    "write_xyz",
]

_MODULES = {
    "Count": "processing.results",
    "Counts": "processing.results",
    "Detection": "processing.pipeline.detect",
    "Diameter": "processing.results",
    "FusedResult": "processing.pipeline.dual",
    "Fusion": "processing.results",
    "ImpossibleDiameterError": "processing.errors",
    "InputFileError": "processing.errors",
    "MrcStack": "processing.files.mrc",
    "ParticleTable": "processing.files.particles",
    "ProcessSettings": "processing.pipeline.settings",
    "ProcessingError": "processing.errors",
    "Progress": "processing.progress",
    "Registration": "processing.results",
    "RegistrationRefusedError": "processing.errors",
    "SeriesResult": "processing.pipeline.series_search",
    "SeriesSummary": "processing.results",
    "Summary": "processing.results",
    "TiltSeries": "processing.series",
    "combine_series": "processing.pipeline.dual",
    "load_tilt_series": "processing.files.tilt_series",
    "process_series": "processing.pipeline.single",
    "read_csv": "processing.files.particles",
    "read_series_result": "processing.pipeline.results_folder",
    "read_stack": "processing.files.mrc",
    "read_xyz": "processing.files.particles",
    "write_csv": "processing.files.particles",
    "write_fused_result": "processing.pipeline.results_folder",
    "write_images": "processing.files.mrc",
    "write_series_result": "processing.pipeline.results_folder",
    "write_summary": "processing.pipeline.results_folder",
    "write_volume": "processing.files.mrc",
    "write_xyz": "processing.files.particles",
}
"""Module that defines each public name."""


if not TYPE_CHECKING:  # type checkers use the imports above, and report a wrong name

    def __getattr__(name: str) -> object:
        """Load a public name from its module (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names too, loaded or not."""
        return sorted({*globals(), *__all__})
