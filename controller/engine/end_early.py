"""End a series before its last planned tilt where the live count shows that it has enough tilts.

The decision is taken between two tilts and entered in the journal before anything else, so that a
resumed session keeps it. It never touches a recorded frame.
"""

from __future__ import annotations

from collections.abc import Collection

from controller.model.base import SeriesName
from controller.model.events import Level, SeriesEndedEarly
from controller.model.more_tilts import MoreTilts
from controller.model.plan import Plan
from controller.model.steps import Tilt
from controller.procedures.context import Context
from controller.session.entries import CompleteAsked, TiltsLeftOut


def is_left_out(
    step: Tilt, plan: Plan, context: Context, complete_asked: Collection[SeriesName]
) -> bool:
    """Tell whether a tilt is left out; end its series first if it has enough tilts.

    Parameters
    ----------
    complete_asked
        Series whose tilts the operator wants all, as asked in this run.
    """
    series, ledger = step.series, context.session.ledger
    if step.id in ledger.completed:
        return True
    if context.protocol.series(series).end_when != "settled":
        return False
    if series in complete_asked:
        _keep_all_tilts(series, context)
        return False
    judged = context.jobs.more_tilts(series)
    if judged is None or not judged.enough or series in ledger.complete_asked:
        return False
    _leave_out_rest(series, judged, plan, context)
    return True


def _keep_all_tilts(series: SeriesName, context: Context) -> None:
    """Enter once in the journal that the operator wants all tilts of a series."""
    if series not in context.session.ledger.complete_asked:
        context.session.enter(CompleteAsked(series=series))
        context.alert(Level.INFO, f"series {series} records all its tilts, as asked", series)


def _leave_out_rest(series: SeriesName, judged: MoreTilts, plan: Plan, context: Context) -> None:
    completed = context.session.ledger.completed
    left = tuple(
        step.id
        for step in plan.steps
        if isinstance(step, Tilt) and step.series == series and step.id not in completed
    )
    context.session.enter(TiltsLeftOut(series=series, step_ids=left, more_tilts=judged))
    publish_early_ends(plan, context, (series,))
    context.jobs.tilt_missed(series, 0)


def publish_early_ends(plan: Plan, context: Context, of: Collection[SeriesName]) -> None:
    """Publish how series have ended early, with what is saved, where the journal tells it."""
    ledger = context.session.ledger
    for series, entry in ledger.left_out.items():
        if series not in of or entry.more_tilts is None:
            continue
        left = [step for step in plan.steps if step.id in entry.step_ids]
        context.publish(
            SeriesEndedEarly(
                series=series,
                recorded=len(ledger.usable(series)),
                left_out=len(left),
                saved_dose_e_per_A2=sum(step.dose_e_per_A2 for step in left),
                saved_s=sum(step.duration_s for step in left),
                more_tilts=entry.more_tilts,
            )
        )
