"""Pre-flight checks: all are made before anything is moved or exposed; all failures are shown."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from controller.common.errors import SafetyStopError
from controller.hardware.interface import Description, MicroscopeError, StageState, Status
from controller.hardware.limits import check_scan, check_sweep, intersect_limits
from controller.model.base import SeriesName
from controller.model.events import Checked
from controller.model.exposures import low_dose_scan
from controller.model.protocol import Protocol
from controller.model.sections.series import Shower
from controller.model.steps import FLIP_STEP_ID, Preflight, tilt_id
from controller.model.survey import WIDE
from controller.procedures.confirm_start import confirm_start
from controller.procedures.context import Context
from controller.session.disk_space import required_bytes
from controller.session.entries import StepDone
from controller.session.image_size import size_in_processing
from processing.image_size import COARSEST_PIXEL_DIAMETERS

PROCESSING_NEEDS = ("scipy", "processing")
GPU_NEEDS = ("cupy", "array_api_compat")


def carry_out(step: Preflight, context: Context) -> None:
    """Make every check; if the protocol says so, show the object and ask whether to start.

    Raises
    ------
    SafetyStopError
        A check failed; the message names all that failed.
    StopRequestedError
        The operator chose to stop.
    """
    protocol, session = context.protocol, context.session
    folder = session.folder
    disk_bytes = required_bytes(protocol, session.missing_frames, folder.processed)
    with session.disk_calls.running():
        disk_checks = (check_disk(folder.path, disk_bytes), check_writing(folder.path))
    checks = [
        *check_column(protocol, context.microscope.description),
        *(() if _awaits_the_flip(context) else check_readiness(context.microscope.status())),
        *disk_checks,
        check_processing(protocol.processing.device),
        check_image_size(protocol),
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
            f"pre-flight: {folder.path}: no disk space can be reserved for the frames: "
            f"{error.strerror or error}"
        ) from None
    if protocol.ask_before_start and session.missing_frames and not _awaits_the_flip(context):
        confirm_start(context, step.id, _planned_text(step, context))
    session.enter(StepDone(step_id=step.id))


def _planned_text(step: Preflight, context: Context) -> str:
    """Describe tilts, time and dose of the session; of a resumed one, what is left."""
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
    """Tell whether the flip is next: its own checks then wait for closed valves and vacuum."""
    if FLIP_STEP_ID in context.session.ledger.completed:
        return False
    return context.protocol.only_flips or not _tilts_left(context, "A")


def check_processing(device: str) -> Checked:
    """Check that the packages for processing on this device can be imported."""
    needed = PROCESSING_NEEDS + (GPU_NEEDS if device == "cuda" else ())
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    detail = f"cannot import {', '.join(absent)}" if absent else "can be imported"
    return Checked(name="processing", ok=not absent, detail=detail)


def check_image_size(protocol: Protocol) -> Checked:
    """Check that processing can work on frames of this size, and say how they are binned."""
    refusal, factor = size_in_processing(protocol)
    scan = protocol.scan
    detail = f"{scan.width_px} x {scan.height_px} px, processed "
    detail += f"with bin {factor} or less" if factor > 1 else "as recorded"
    detail += _too_coarse(protocol, factor)
    return Checked(name="image size", ok=not refusal, detail=refusal or detail)


def _too_coarse(protocol: Protocol, factor: int) -> str:
    """Say that binned pixels may be too coarse for a trusted count; empty if they are not."""
    wanted, pixel_nm = protocol.processing, factor * protocol.scan.pixel_nm
    diameter_nm = wanted.diameter_nm
    fine = diameter_nm is None or pixel_nm <= COARSEST_PIXEL_DIAMETERS * diameter_nm
    if factor == 1 or fine:
        return ""
    if wanted.bin is not None:
        found, remedy = "", "choose a smaller processing.bin"
    else:
        found, remedy = "if the object fills the field, ", "raise processing.memory_limit_GB"
    return (
        f"; {found}pixels of {pixel_nm:.3g} nm are too coarse for particles of {diameter_nm:g} nm: "
        f"{remedy}"
    )


def check_dose(protocol: Protocol, planned_e_per_A2: float) -> Checked:
    """Check the planned dose against the dose budget."""
    budget = protocol.limits.dose_budget_e_per_A2
    return Checked(
        name="dose",
        ok=planned_e_per_A2 <= budget,
        detail=f"{planned_e_per_A2:.0f} of {budget:.0f} e/Å² planned",
    )


def check_column(protocol: Protocol, description: Description) -> Iterator[Checked]:
    """Check the microscope against the protocol."""
    yield Checked(name="bridge", ok=True, detail=f"{description.name} answers")
    wanted = protocol.column
    kind = "simulator" if description.simulated else "bridge"
    yield Checked(
        name="column", ok=kind == wanted.kind, detail=f"{kind} found, {wanted.kind} required"
    )
    for name, is_, want, unit in (
        ("voltage", description.voltage_kV, wanted.voltage_kV, "kV"),
        ("convergence", description.convergence_mrad, wanted.convergence_mrad, "mrad"),
        (
            "inner collection",
            description.inner_collection_mrad,
            wanted.inner_collection_mrad,
            "mrad",
        ),
    ):
        yield Checked(
            name=name,
            ok=abs(is_ - want) <= 0.02 * want,
            detail=f"{is_:g} {unit} found, {want:g} required",
        )
    yield _check_reach(protocol, description)
    yield _check_scan(protocol, description)
    yield from _check_motion(protocol, description)
    if protocol.shower.enabled and description.offered_scans:
        yield _check_shower(protocol.shower, description)
    if protocol.focus.before_series:
        can = description.defocus_limits_nm is not None
        detail = "can be set" if can else "cannot be set here: remove focus.before_series"
        yield Checked(name="defocus", ok=can, detail=detail)


def check_readiness(status: Status) -> Iterator[Checked]:
    """Check that the column is ready for an exposure: vacuum, valves, stage."""
    vacuum = "good" if status.vacuum_ok else "not good enough to expose"
    yield Checked(name="vacuum", ok=status.vacuum_ok, detail=vacuum)
    valves = "open" if status.valves_open else "closed: open them at the column"
    yield Checked(name="valves", ok=status.valves_open, detail=valves)
    stage = status.stage_state
    yield Checked(name="stage", ok=stage is StageState.READY, detail=stage.value)


def _check_reach(protocol: Protocol, description: Description) -> Checked:
    tilts = [
        *protocol.shower.tilts_deg,
        *protocol.series_a.reach_deg,
        *protocol.series_b.reach_deg,
    ]
    try:
        reach = intersect_limits(description.stage_limits, protocol.limits.stage)
    except MicroscopeError as error:
        return Checked(name="stage range", ok=False, detail=str(error))
    ok = reach.alpha_min_deg <= min(tilts) and max(tilts) <= reach.alpha_max_deg
    return Checked(
        name="stage range",
        ok=ok,
        detail=f"tilts {min(tilts):+g} to {max(tilts):+g}, "
        f"reach {reach.alpha_min_deg:+g} to {reach.alpha_max_deg:+g} degrees",
    )


def _check_scan(protocol: Protocol, description: Description) -> Checked:
    """Check scans of frame and low-dose shot; mention a missing wide field for lost objects."""
    try:
        for scan in (protocol.scan, low_dose_scan(protocol)):
            check_scan(scan, description)
    except MicroscopeError as error:
        return Checked(name="detector", ok=False, detail=str(error))
    scan = protocol.scan
    detail = f"{scan.width_px} x {scan.height_px} px of {scan.pixel_nm:g} nm"
    try:
        check_scan(low_dose_scan(protocol, WIDE), description)
    except MicroscopeError:
        detail += f"; no field {WIDE} times as wide to search for a lost object"
    return Checked(name="detector", ok=True, detail=detail)


def _check_motion(protocol: Protocol, description: Description) -> Iterator[Checked]:
    """Check, for each series in continuous motion, that the column can expose at its tilt speed."""
    for name, series in (("series_a", protocol.series_a), ("series_b", protocol.series_b)):
        if series.motion != "continuous":
            continue
        speed = abs(series.sweep_deg) / protocol.scan.frame_time_s
        ok, detail = True, f"{name}.motion = 'continuous', {speed:.3g} deg/s"
        try:
            check_sweep(protocol.scan, series.sweep_deg, description)
        except MicroscopeError as error:
            ok, detail = False, f"{name}.motion = 'continuous': {error}"
        yield Checked(name="motion", ok=ok, detail=detail)


def _check_shower(shower: Shower, description: Description) -> Checked:
    """Check that a column that showers by scanning offers the shower's field."""
    fields_nm = {offer.width_px * offer.pixel_nm for offer in description.offered_scans}
    near_nm = description.pixel_tolerance * shower.field_nm
    ok = any(abs(field_nm - shower.field_nm) <= near_nm for field_nm in fields_nm)
    offered = ", ".join(f"{field_nm:.4g}" for field_nm in sorted(fields_nm))
    detail = f"field {shower.field_nm:g} nm" + ("" if ok else f": the column offers {offered} nm")
    return Checked(name="shower", ok=ok, detail=detail)


def check_disk(folder: Path, required_bytes: float) -> Checked:
    """Check the free disk space for the frames to come and the processed data."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Checked(name="disk", ok=False, detail=f"{folder}: {error.strerror}")
    detail = f"{free / 1e9:.1f} GB free, {required_bytes / 1e9:.2f} GB required"
    return Checked(name="disk", ok=free >= required_bytes, detail=detail)


def check_writing(folder: Path) -> Checked:
    """Check that a file can be written to the folder, read back and removed."""
    content = bytes(range(256)) * 256
    try:
        with TemporaryFile(dir=folder) as probe:
            probe.write(content)
            probe.seek(0)
            same = probe.read() == content
    except OSError as error:
        return Checked(name="write test", ok=False, detail=f"{folder}: {error.strerror}")
    return Checked(
        name="write test",
        ok=same,
        detail="written and read back" if same else "read back different",
    )
