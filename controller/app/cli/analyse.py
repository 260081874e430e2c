"""`dualtilt analyse`: structure of an assembly from the places of its particles."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.cli.output_folder import removed_if_empty
from controller.app.cli.reading_arguments import within
from controller.common.errors import SafetyStopError, UsageError, path_error_text
from controller.common.exit_codes import ExitCode
from controller.model.plausible import DIAMETER, POSITION_ERROR

if TYPE_CHECKING:
    from processing.structure.run import StructureOptions
    from processing.structure_results import Measured, Structure

SOURCE_HELP = "folder of a session or of results, or a table of particles (.csv, .xyz)"
DIAMETER_HELP = "particle diameter, for the packing"
MOST_SHOWN = 8
"""Largest number of grains or planes that are printed; the summary holds all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("source", type=Path, metavar="DIR|FILE", help=SOURCE_HELP)
    add("--out", type=Path, metavar="DIR", help="folder of the results (default: beside FILE)")
    add("--unit", choices=("nm", "angstrom", "um"), help="unit of x, y, z (default: as named)")
    add("--diameter-nm", type=within(DIAMETER), metavar="D", help=DIAMETER_HELP)
    add(
        "--position-error-nm",
        type=within(POSITION_ERROR),
        metavar="S",
        help="standard deviation of one coordinate (default: scatter about the lattice)",
    )


def run(args: argparse.Namespace) -> int:
    """Analyse the particles, write the tables, print the structure."""
    from processing.errors import (
        InputFileError,
        NoStructureError,
        ResultRefusedError,
        ResultsInUseError,
    )
    from processing.structure.run import StructureOptions, analyse_file

    if not args.source.exists():
        raise UsageError(f"{args.source}: no such file or folder")
    options = StructureOptions(args.unit, args.diameter_nm, args.position_error_nm)
    try:
        if args.source.is_dir():
            if args.out is not None:
                raise UsageError(f"--out: the results of a folder go to {args.source}/processed")
            structure, paths = _analyse_folder(args.source, options)
        else:
            out = args.source.parent if args.out is None else args.out
            out.mkdir(parents=True, exist_ok=True)
            with removed_if_empty(out):
                structure, paths = analyse_file(args.source, out, options)
    except ResultRefusedError as error:
        raise SafetyStopError(str(error)) from error
    except (InputFileError, NoStructureError, ResultsInUseError, OSError) as error:
        raise UsageError(path_error_text(error, args.out or args.source)) from error
    for line in described(structure):
        print(line)
    for path in paths:
        print(path.resolve())
    return ExitCode.OK


def _analyse_folder(folder: Path, options: StructureOptions) -> tuple[Structure, list[Path]]:
    """Analyse the results of a folder; write its report again."""
    from controller.report.write import write_report
    from processing.batch.results_lock import results_lock
    from processing.pipeline.analyse_session import NO_RESULTS, analyse_session
    from processing.pipeline.results_folder import PROCESSED, SUMMARY, read_summary

    summary = folder / PROCESSED / SUMMARY
    read_summary(folder, if_missing=NO_RESULTS)  # before the lock, which would make the folder
    with results_lock(folder):
        structure, paths = analyse_session(folder, options)
        return structure, [*paths, summary, write_report(folder)]


def _false_particles(left_out: int) -> str:
    return f"; {left_out} more left out: they overlap three others or more" if left_out else ""


def described(structure: Structure) -> list[str]:
    """Return the structure in lines for a terminal."""
    closed = structure.particles - structure.surface
    packing = structure.packing_fraction
    lattice = structure.lattice_constant_nm
    return [
        structure.headline(),
        f"particles    {structure.particles}: {closed} with a closed shell, {structure.surface} "
        f"at the surface{_false_particles(structure.left_out)}",
        *(
            f"{name:12} {_percent(share)}"
            for name, share in structure.shares.items()
            if share.value > 0
        ),
        f"neighbours   {_number(structure.neighbour_distance_nm)} nm away, spread "
        f"{_known(structure.neighbour_spread_nm, structure.neighbour_spread_error_nm)} nm (in the "
        "interior)",
        f"coordination {_number(structure.coordination)} neighbours (in the interior)",
        *([] if packing is None else [f"packing      {_number(packing)} (in the interior)"]),
        *([] if lattice is None else [f"fcc lattice  a = {_number(lattice)} nm"]),
        f"grains       {_known(len(structure.grains), structure.grains_error)}",
        *_shown(
            [
                f"grain {grain.id:<6} {grain.structure}, "
                f"{_counted(grain.particles, grain.particles_error)} particles, a = "
                f"{_number(grain.lattice_constant_nm)} nm{_again(grain.found_again)}"
                for grain in structure.grains
            ]
        ),
        *_shown(
            [
                f"grains {edge.grains[0]}-{edge.grains[1]:<4} "
                f"{_known(edge.misorientation_deg, edge.misorientation_error_deg)} degrees"
                + (", twins" if edge.twin else "")
                for edge in structure.boundaries
            ]
        ),
        *_shown(
            [
                f"{plane.kind}: {_counted(plane.particles, plane.particles_error)} particles"
                + _again(plane.found_again)
                for plane in structure.planes
            ]
        ),
        *(f"note: {note}" for note in structure.notes),
    ]


def _shown(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_SHOWN
    return [*lines[:MOST_SHOWN], *([f"... and {more} more"] if more > 0 else [])]


def _percent(share: Measured) -> str:
    from controller.report.intervals import share_interval

    low, high = share_interval(share.value, share.error)
    return f"{100 * share.value:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f})"


def _again(share: float | None) -> str:
    """Return in how many repeats of the analysis something was found again, if not in all."""
    if share is None or share == 1:
        return ""
    return f"; not certain: found again in {100 * share:.0f} % of the repeats with errors added"


def _counted(number: int, error: float | None) -> str:
    """Return a number of particles with its error, which results of earlier versions lack."""
    return f"{number} ± {error:.0f}" if error else str(number)


def _known(value: float, error: float | None) -> str:
    """Return a number with its error, which results of earlier versions lack."""
    from processing.structure_results import Measured

    return f"{value:.4g}" if error is None else _number(Measured(value=value, error=error))


def _number(measured: Measured) -> str:
    """Return value and error with as many decimals as give the error two digits."""
    value, error = measured.value, measured.error
    if not error > 0:  # a single particle, or all alike
        return f"{value:.4g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
