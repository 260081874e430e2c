"""The safe state: beam blanked, stage stopped, nothing exposed, whatever fails on the way."""

from __future__ import annotations

from controller.hardware.interface import Microscope, NotSupportedError


def reach_safe_state(microscope: Microscope, reason: str) -> list[str]:
    """Make `microscope` safe by every means it has; a device that fails does not spare the others.

    Parameters
    ----------
    microscope
        The column.
    reason
        Why, for its log.

    Returns
    -------
    list of str
        What failed, one line each; empty when all is safe.
    """
    means = (
        ("blank", microscope.blank),
        ("stop_stage", microscope.stop_stage),
        ("make_safe", lambda: microscope.make_safe(reason)),
    )
    problems = []
    for name, act in means:
        try:
            act()
        except NotSupportedError:
            continue  # TEM Scripting stops no stage: there is nothing to fail
        except Exception as error:  # noqa: BLE001 -- the remaining devices must be reached
            problems.append(f"{name}: {error}")
    return problems
