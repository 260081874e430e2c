"""From tilt series to tables on disk: one series, two series, and refused input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing import (
    ImpossibleDiameterError,
    InputFileError,
    ProcessingError,
    ProcessSettings,
    RegistrationRefusedError,
    SeriesResult,
    Summary,
    combine_series,
    process_series,
    read_csv,
    read_series_result,
    read_stack,
    write_fused_result,
    write_series_result,
    write_summary,
)
from processing.combine.pose import FLIP, Pose, about_z
from processing.pipeline.detect import Detection
from processing.results import FusionRule
