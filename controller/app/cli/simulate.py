"""`dualtilt simulate PROTOCOL.toml --out DIR`: both tilt series and the truth, no session."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.app.cli.output_folder import empty_folder
from controller.app.profiles import find_profile, require_simulator_profile, simulator_profile
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.common.settings_file import describe_errors, validate_toml
from controller.common.toml_file import read_toml
from controller.model.protocol import Protocol, read_protocol
from controller.model.scan import shower_dose_e_per_A2
from controller.model.sections.series import Shower


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("protocol", metavar="PROTOCOL.toml", help="a path or a profile's name")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="new or empty folder for the files"
    )
    parser.add_argument("--seed", type=int, help="seed (default: that of the simulator's profile)")


def run(args: argparse.Namespace) -> int:
    """Simulate both series, write them, print the paths."""
    path = find_profile(args.protocol)
    protocol = read_protocol(path)
    settings = _read_settings(simulator_profile(protocol, path), args.seed)
    out = empty_folder(args.out)
    for line in not_simulated(protocol):
        print(line, flush=True)
    tilts = len(protocol.series_a.tilts_deg) + len(protocol.series_b.tilts_deg)
    scan = protocol.scan
    print(f"simulating {tilts} tilts of {scan.width_px} x {scan.height_px} px ...", flush=True)
    # imported by name: the controller depends on the simulator only in simulated sessions
    series = importlib.import_module("simulator.series")
    dual = series.simulate_dual(
        settings,
        scan,
        protocol.series_a.tilts_deg,
        protocol.series_b.tilts_deg,
        protocol.series_a.current_pA,
        shower_dose_e_per_A2=_shower_dose_e_per_A2(protocol.shower),
        progress=_print_progress,
    )
    written = [
        *_write_series(out, "A", dual.a, protocol),
        *_write_series(out, "B", dual.b, protocol),
        _write_truth(out, dual.truth),
    ]
    for file in written:
        print(file.resolve())
    return ExitCode.OK


def not_simulated(protocol: Protocol) -> Iterator[str]:
    """Give one line for each part of the protocol that these series leave out."""
    if protocol.column.kind == "bridge":
        yield (
            f'column.kind = "bridge": no column is used; the series are those of '
            f"{protocol.column.simulator_settings}"
        )
    if protocol.targets:
        yield (
            "[[targets]]: left out; one assembly is simulated, without their settings; "
            "`dualtilt run` records all targets on the simulator"
        )


def _shower_dose_e_per_A2(shower: Shower) -> float:
    """Return the dose of the shower, e/Å²; 0 without a shower."""
    if not shower.enabled:
        return 0.0
    return shower_dose_e_per_A2(shower.current_pA, shower.duration_s, shower.field_nm)


def _print_progress(done: int, planned: int) -> None:
    if done % 10 == 0 or done == planned:
        print(f"{done} of {planned} tilts", flush=True)


def _read_settings(path: Path, seed: int | None) -> Any:
    from pydantic import ValidationError

    require_simulator_profile(path)
    settings = importlib.import_module("simulator.settings").SimulatorSettings
    try:
        content = read_toml(path)
        return validate_toml(content if seed is None else content | {"seed": seed}, settings)
    except ValidationError as error:
        raise UsageError(f"{path}: " + "; ".join(describe_errors(error, settings))) from None


def _write_series(out: Path, name: str, series: Any, protocol: Protocol) -> Sequence[Path]:
    from processing.files.mdoc import MdocHeader, MdocSection, write_mdoc
    from processing.files.mrc import STORED_AS, write_images
    from processing.files.rawtlt import write_rawtlt
    from processing.files.tilt_axis import axis_titles

    scan = protocol.scan
    current_pA = protocol.series_a.current_pA
    stack, rawtlt = out / f"{name}.mrc", out / f"{name}.rawtlt"
    mdoc = out / f"{name}.mrc.mdoc"
    write_images(stack, series.counts, scan.pixel_nm)
    write_rawtlt(rawtlt, series.reported_deg)
    header = MdocHeader(
        image_file=stack.name,
        image_size=(scan.width_px, scan.height_px),
        pixel_nm=scan.pixel_nm,
        voltage_kV=protocol.column.voltage_kV,
        data_mode=STORED_AS[series.counts.dtype.name],
        titles=(
            f"dualtilt: series {name}, simulated",
            *axis_titles(protocol.column.tilt_axis_deg),
        ),
    )
    sections = [
        MdocSection(
            section=index,
            tilt_angle_deg=float(angle),
            pixel_nm=scan.pixel_nm,
            dose_e_per_A2=scan.dose_e_per_A2(current_pA),
            exposure_time_s=scan.exposure_s,
            probe_current_pA=current_pA,
        )
        for index, angle in enumerate(series.reported_deg)
    ]
    write_mdoc(mdoc, header, sections)
    return stack, mdoc, rawtlt


def _write_truth(out: Path, truth: Any) -> Path:
    import numpy as np

    from processing.files.particles import ParticleTable, write_csv

    path = out / "truth.csv"
    certain = np.ones(len(truth.diameters_nm))
    table = ParticleTable(truth.centres_nm, truth.diameters_nm, certain)
    if truth.quaternions is not None:
        table = replace(table, quaternion=truth.quaternions)
    write_csv(path, table)
    return path
