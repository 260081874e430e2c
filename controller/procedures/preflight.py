"""Before anything is touched: every check is made, and every failure shown at once."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

from controller.common.errors import SafetyStopError
from controller.hardware.interface import Description, MicroscopeError, StageState, Status
from controller.hardware.limits import check_scan, check_sweep, intersect_limits
from controller.model.base import SeriesName
from controller.model.events import Checked
from controller.model.exposures import WIDE, low_dose_scan
from controller.model.protocol import Protocol, Shower
from controller.model.steps import FLIP_STEP_ID, Preflight, tilt_id
from controller.procedures.context import Context
from controller.procedures.first_look import look_and_ask
from controller.session.disk_space import required_bytes
from controller.session.entries import StepDone

PROCESSING_NEEDS = ("astra", "pywt", "scipy", "processing")


def carry_out(step: Preflight, context: Context) -> None:
    """Make every check; where the protocol asks for it, look at the object and ask to start.

    Raises
    ------
    SafetyStopError
        Naming all that failed.
    StopRequestedError
        The operator does not start.
    """
    protocol, session = context.protocol, context.session
    folder = session.folder
    disk_bytes = required_bytes(protocol, session.missing_frames, folder.processed)
    checks = [
        *check_column(protocol, context.microscope.description),
        *(() if _awaits_the_flip(context) else check_readiness(context.microscope.status())),
        check_disk(folder.path, disk_bytes),
        check_writing(folder.path),
        check_processing(),
        check_dose(protocol, session.ledger.dose_e_per_A2 + step.planned_dose_e_per_A2),
    ]
    for check in checks:
        context.publish(check)
    failed = [check for check in checks if not check.ok]
    if failed:
        reasons = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        raise SafetyStopError(
            f"pre-flight: {len(failed)} of {len(checks)} checks failed: {reasons}"
        )
    try:
        session.reserve_disk()
    except OSError as error:
        raise SafetyStopError(
            f"pre-flight: {folder.path}: no room can be kept for the frames: "
            f"{error.strerror or error}"
        ) from None
    if protocol.ask_before_start and session.missing_frames and not _awaits_the_flip(context):
        look_and_ask(context, step.id, _in_words(step, context))
    session.enter(StepDone(step_id=step.id))


def _in_words(step: Preflight, context: Context) -> str:
    """What is to come: of a session taken up again, only what is left."""
    a, b = _tilts_left(context, "A"), _tilts_left(context, "B")
    spent, dose = context.session.ledger.dose_e_per_A2, step.planned_dose_e_per_A2
    after = f" after {spent:.0f} so far" if context.session.resumed else ""
    left = " left" if context.session.resumed else ""
    return f"{a} + {b} tilts{left}, {step.planned_s / 60:.0f} minutes, {dose:.0f} e/Å²{after}"


def _tilts_left(context: Context, name: SeriesName) -> int:
    planned = len(context.protocol.series(name).tilts_deg)
    completed = context.session.ledger.completed
    return sum(tilt_id(name, number) not in completed for number in range(1, planned + 1))


def _awaits_the_flip(context: Context) -> bool:
    """Whether hands are at the holder: then valves are closed, and the flip waits for them."""
    return FLIP_STEP_ID not in context.session.ledger.completed and not _tilts_left(context, "A")


def check_processing() -> Checked:
    """Check that processing can run here."""
    absent = [name for name in PROCESSING_NEEDS if importlib.util.find_spec(name) is None]
    detail = f"cannot import {', '.join(absent)}" if absent else "can be imported"
    return Checked(name="processing", ok=not absent, detail=detail)


def check_dose(protocol: Protocol, planned_e_per_A2: float) -> Checked:
    """Check the plan against the dose budget."""
    budget = protocol.limits.dose_budget_e_per_A2
    return Checked(
        name="dose",
        ok=planned_e_per_A2 <= budget,
        detail=f"{planned_e_per_A2:.0f} of {budget:.0f} e/Å² planned",
    )


def check_column(protocol: Protocol, column: Description) -> Iterator[Checked]:
    """Check the microscope against what the protocol is meant for."""
    yield Checked(name="bridge", ok=True, detail=f"{column.name} answers")
    wanted = protocol.column
    kind = "simulator" if column.simulated else "bridge"
    yield Checked(name="column", ok=kind == wanted.kind, detail=f"is {kind}, wanted {wanted.kind}")
    for name, is_, want, unit in (
        ("voltage", column.voltage_kV, wanted.voltage_kV, "kV"),
        ("convergence", column.convergence_mrad, wanted.convergence_mrad, "mrad"),
        ("inner collection", column.inner_collection_mrad, wanted.inner_collection_mrad, "mrad"),
    ):
        yield Checked(
            name=name, ok=abs(is_ - want) <= 0.02 * want, detail=f"{is_:g} {unit}, wanted {want:g}"
        )
    yield _check_reach(protocol, column)
    yield _check_scan(protocol, column)
    yield from _check_motion(protocol, column)
    if protocol.shower.enabled and column.offered_scans:
        yield _check_shower(protocol.shower, column)
    if protocol.focus.before_series:
        can = column.defocus_limits_nm is not None
        detail = "can be set" if can else "cannot be set here: leave focus.before_series out"
        yield Checked(name="defocus", ok=can, detail=detail)


def check_readiness(status: Status) -> Iterator[Checked]:
    """Check that the column may be exposed as it is now."""
    vacuum = "good" if status.vacuum_ok else "not good enough to expose"
    yield Checked(name="vacuum", ok=status.vacuum_ok, detail=vacuum)
    valves = "open" if status.valves_open else "closed: open them at the column"
    yield Checked(name="valves", ok=status.valves_open, detail=valves)
    stage = status.stage_state
    yield Checked(name="stage", ok=stage is StageState.READY, detail=stage.value)


def _check_reach(protocol: Protocol, column: Description) -> Checked:
    tilts = [
        *protocol.shower.tilts_deg,
        *protocol.series_a.reach_deg,
        *protocol.series_b.reach_deg,
    ]
    try:
        reach = intersect_limits(column.stage_limits, protocol.limits.stage)
    except MicroscopeError as error:
        return Checked(name="stage range", ok=False, detail=str(error))
    ok = reach.alpha_min_deg <= min(tilts) and max(tilts) <= reach.alpha_max_deg
    return Checked(
        name="stage range",
        ok=ok,
        detail=f"tilts {min(tilts):+g} to {max(tilts):+g}, "
        f"reach {reach.alpha_min_deg:+g} to {reach.alpha_max_deg:+g} degrees",
    )


def _check_scan(protocol: Protocol, column: Description) -> Checked:
    """Check the frame and the low-dose shot; say where there is no wide field to search in."""
    try:
        for scan in (protocol.scan, low_dose_scan(protocol)):
            check_scan(scan, column)
    except MicroscopeError as error:
        return Checked(name="detector", ok=False, detail=str(error))
    scan = protocol.scan
    detail = f"{scan.width_px} x {scan.height_px} px of {scan.pixel_nm:g} nm"
    try:
        check_scan(low_dose_scan(protocol, WIDE), column)
    except MicroscopeError:
        detail += f"; no field {WIDE} times as wide to look for a lost object in"
    return Checked(name="detector", ok=True, detail=detail)


def _check_motion(protocol: Protocol, column: Description) -> Iterator[Checked]:
    """Check each series in continuous motion: does the column expose while it tilts, so fast?"""
    for name, series in (("series_a", protocol.series_a), ("series_b", protocol.series_b)):
        if series.motion != "continuous":
            continue
        speed = abs(series.sweep_deg) / protocol.scan.frame_time_s
        ok, detail = True, f"{name}.motion = 'continuous', {speed:.3g} deg/s"
        try:
            check_sweep(protocol.scan, series.sweep_deg, column)
        except MicroscopeError as error:
            ok, detail = False, f"{name}.motion = 'continuous': {error}"
        yield Checked(name="motion", ok=ok, detail=detail)


def _check_shower(shower: Shower, column: Description) -> Checked:
    """Check that the column, whose probe only scans, has a field for the shower."""
    fields_nm = {offer.width_px * offer.pixel_nm for offer in column.offered_scans}
    near_nm = column.pixel_tolerance * shower.field_nm
    ok = any(abs(field_nm - shower.field_nm) <= near_nm for field_nm in fields_nm)
    offered = ", ".join(f"{field_nm:.4g}" for field_nm in sorted(fields_nm))
    detail = f"field {shower.field_nm:g} nm" + ("" if ok else f": the column offers {offered} nm")
    return Checked(name="shower", ok=ok, detail=detail)


def check_disk(folder: Path, required_bytes: float) -> Checked:
    """Check that the frames to come, and what is made of them, will have room."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Checked(name="disk", ok=False, detail=f"{folder}: {error.strerror}")
    detail = f"{free / 1e9:.1f} GB free, {required_bytes / 1e9:.2f} GB wanted"
    return Checked(name="disk", ok=free >= required_bytes, detail=detail)


def check_writing(folder: Path) -> Checked:
    """Write, read back, remove."""
    probe, content = folder / ".write-test", bytes(range(256)) * 256
    try:
        probe.write_bytes(content)
        same = probe.read_bytes() == content
        probe.unlink()
    except OSError as error:
        return Checked(name="write test", ok=False, detail=f"{folder}: {error.strerror}")
    return Checked(
        name="write test", ok=same, detail="written and read back" if same else "read back wrong"
    )
