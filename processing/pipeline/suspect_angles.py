"""Wrong tilt angles come first among the reasons of a doubtful count: others follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from processing.pipeline.detect import Detection
from processing.results import Cause, Trust, Verdict


def with_suspected_angles(detection: Detection, reasons: Sequence[str]) -> Detection:
    """Return a detection whose verdict begins with the signs of wrong tilt angles.

    A trusted verdict stays as it is, and so do state and interval of any other.

    Parameters
    ----------
    reasons
        `TiltSeries.angle_reasons` of the series that were counted.
    """
    verdict = detection.count.verdict
    if verdict is None or verdict.state is Trust.TRUSTED:
        return detection
    known = dict(zip(verdict.reasons, verdict.causes, strict=True))
    # a doubt of the input keeps its cause: the count of both series takes it over
    causes = {line: known.get(line, Cause.ANGLES) for line in reasons}
    found = {line: cause for line, cause in known.items() if cause is Cause.ANGLES}
    ordered = causes | found | known
    told = Verdict(state=verdict.state, reasons=tuple(ordered), causes=tuple(ordered.values()))
    return replace(detection, count=detection.count.model_copy(update={"verdict": told}))
