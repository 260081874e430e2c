"""Accuracy checks of a rehearsal: its particle tables against the simulator's ground truth."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from controller.common.bounded_read import read_bounded
from controller.common.errors import ProcessingFailedError
from controller.model.fusion_rules import FusionRule

TABLES = ("A", "B", *FusionRule, "fused")
MIN_RECALL = MIN_PRECISION = 0.98
SATURATED_RECALL = 0.999
"""Recall in a third above which the fused result need not be better than a single series."""
EXIT_THIRD = {"A": 0, "B": 2}
"""Third of the height (0: bottom, in A's frame) where the beam leaves the specimen."""


class Score(BaseModel):
    """Score of one particle table against the ground truth."""

    model_config = ConfigDict(frozen=True)

    found: int
    recall: float
    precision: float
    rms_nm: tuple[float, float, float] | None
    """Position error along x, y and z."""
    recall_by_depth: tuple[float, float, float]
    """Recall in each third of the height, the bottom first."""
    failure: str | None = None
    """Reason why the table could not be matched; None: it was."""

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        both = self.recall + self.precision
        return 2 * self.recall * self.precision / both if both else 0.0


class Accuracy(BaseModel):
    """Content of accuracy.json, as the simulator's scoring writes it."""

    model_config = ConfigDict(frozen=True)

    n_truth: int
    tolerance_nm: float
    tables: dict[str, Score]


def read_accuracy(path: Path) -> Accuracy:
    """Read accuracy.json.

    Raises
    ------
    ProcessingFailedError
        If it is missing or damaged.
    """
    try:
        return Accuracy.model_validate_json(read_bounded(path))
    except OSError:
        raise ProcessingFailedError(f"{path}: the rehearsal was not scored") from None
    except ValidationError as error:
        raise ProcessingFailedError(f"{path}: {str(error).splitlines()[0]}") from None


def failed_checks(accuracy: Accuracy) -> list[str]:
    """Return the accuracy checks that the fused result does not pass, one line each."""
    fused = accuracy.tables.get("fused")
    if fused is None:
        return ["there is no fused particle table"]
    failed = []
    if fused.failure is not None:
        failed.append(f"fused: {fused.failure}")
    if fused.recall < MIN_RECALL:
        failed.append(f"fused recall {fused.recall:.4f} is below {MIN_RECALL}")
    if fused.precision < MIN_PRECISION:
        failed.append(f"fused precision {fused.precision:.4f} is below {MIN_PRECISION}")
    for name, third in EXIT_THIRD.items():
        alone = accuracy.tables.get(name)
        if alone is None:
            failed.append(f"there is no particle table of {name}")
        elif fused.recall_by_depth[third] <= min(alone.recall_by_depth[third], SATURATED_RECALL):
            failed.append(
                f"on {name}'s exit side fused recall {fused.recall_by_depth[third]:.4f} is not "
                f"above {name}'s own {alone.recall_by_depth[third]:.4f}"
            )
    return failed
