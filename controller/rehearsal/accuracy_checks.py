"""What a rehearsal has to show: the score of its particle tables against the simulator's truth."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from controller.common.errors import ProcessingFailedError

TABLES = ("A", "B", "mean", "paper", "masked", "depth-weighted", "fused")
SHORT_TABLE_NAMES = {"depth-weighted": "by depth"}
"""So that the table fits a terminal of 80 columns."""
MIN_RECALL = MIN_PRECISION = 0.98
SATURATED_RECALL = 0.999
"""Of a third's particles: where the fused result has as many, a series alone may have them too."""
EXIT_THIRD = {"A": 0, "B": 2}
"""Third of the height, bottom first in A's frame, where each series' beam leaves."""


class Score(BaseModel):
    """One particle table against the truth."""

    model_config = ConfigDict(frozen=True)

    found: int
    recall: float
    precision: float
    rms_nm: tuple[float, float, float] | None
    """x, y, z."""
    recall_by_depth: tuple[float, float, float]
    failure: str | None = None


class Accuracy(BaseModel):
    """accuracy.json, as the simulator's scoring writes it."""

    model_config = ConfigDict(frozen=True)

    n_truth: int
    tolerance_nm: float
    tables: dict[str, Score]


def read_accuracy(path: Path) -> Accuracy:
    """Read accuracy.json.

    Raises
    ------
    ProcessingFailedError
        It is missing or not what it should be.
    """
    try:
        return Accuracy.model_validate_json(path.read_bytes())
    except OSError:
        raise ProcessingFailedError(f"{path}: the rehearsal was not scored") from None
    except ValidationError as error:
        raise ProcessingFailedError(f"{path}: {str(error).splitlines()[0]}") from None


def failed_checks(accuracy: Accuracy) -> list[str]:
    """Name every accuracy check that the fused result does not pass, a line each."""
    fused = accuracy.tables.get("fused")
    if fused is None:
        return ["there is no fused particle table"]
    misses = []
    if fused.failure is not None:
        misses.append(f"fused: {fused.failure}")
    if fused.recall < MIN_RECALL:
        misses.append(f"fused recall {fused.recall:.4f} is below {MIN_RECALL}")
    if fused.precision < MIN_PRECISION:
        misses.append(f"fused precision {fused.precision:.4f} is below {MIN_PRECISION}")
    for name, third in EXIT_THIRD.items():
        alone = accuracy.tables.get(name)
        if alone is None:
            misses.append(f"there is no particle table of {name}")
        elif fused.recall_by_depth[third] <= min(alone.recall_by_depth[third], SATURATED_RECALL):
            misses.append(
                f"on {name}'s exit side fused recall {fused.recall_by_depth[third]:.4f} is not "
                f"above {name}'s own {alone.recall_by_depth[third]:.4f}"
            )
    return misses
