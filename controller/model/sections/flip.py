"""Section `flip`: the flip of the grid, and the limits of its check."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.model.base import Fraction, NotNegative, Positive, Settings


class Flip(Settings):
    """Flip of the grid between A and B, and the check that it was flipped."""

    margin: Fraction = 0.05
    """Minimum lead of the score 'flipped' over 'same side up' for B to be recorded."""
    least_score: Fraction = 0.45
    """Minimum score of 'flipped'; below it, B shows another object, or only part of this one."""
    check_tilt_deg: Annotated[float, Field(gt=0, le=70)] = 30.0
    """Tilt of two more compared images, one on each side, within the stage limits (degrees)."""
    max_shrinkage: Fraction = 0.03
    """Maximum difference of the object's size from that in series A, as a fraction."""
    maps: bool = True
    """True to record survey maps before and after, to find the assembly on the grid again."""
    max_signal_change: Fraction = 0.1
    """Maximum difference of the object's signal from series A, as a fraction. More means another
    detector gain or lost particles."""
    drift_limit_nm_per_s: NotNegative = 0.5
    """Drift below which the reinserted grid is compared (nm/s); 0: the drift is not measured."""
    drift_within_s: Positive = 900.0
    """Longest wait for that drift (s); then the session continues with a warning."""
    unanswered: Literal["wait", "stop"] = "wait"
    """Action if nobody answers within `unanswered_after_s`: keep waiting, or stop safely."""
    unanswered_after_s: Positive = 7200.0
    """Time after which a prompt counts as unanswered (s)."""
    answers_itself: bool = False
    """True to let a simulated operator answer all prompts; on the simulator only."""
