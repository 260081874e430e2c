"""`dualtilt survey`: find the assemblies of a grid and write a list of targets."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.cli.run import BRIDGE_HELP

if TYPE_CHECKING:
    from controller.hardware.interface import Frame, Microscope
    from controller.model.protocol import Protocol
    from controller.model.surveyed import Surveyed

PROTOCOL_HELP = (
    "protocol with the settings of all targets, whose own list of targets is replaced; or the "
    "folder of an earlier survey, to choose again: nothing is exposed"
)
OUT_HELP = "new or empty folder for list, protocol and thumbnails (default: ./survey)"
RADIUS_HELP = "distance from the stage's zero that is searched (default: 4000)"
CHOOSE_HELP = "names with commas between, or suggested, all, none (default: ask, else suggested)"
RADIUS_NM = 4000.0
LARGEST_RADIUS_NM = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("protocol", metavar="PROTOCOL.toml|SURVEY", help=PROTOCOL_HELP)
    add("--bridge", type=Path, metavar="FILE", help=BRIDGE_HELP)
    add("--out", type=Path, default=Path("survey"), metavar="DIR", help=OUT_HELP)
    add("--radius-nm", type=_radius, default=RADIUS_NM, metavar="R", help=RADIUS_HELP)
    add("--choose", metavar="NAMES", help=CHOOSE_HELP)


def run(args: argparse.Namespace) -> int:
    """Survey the grid, show what was found, and write the targets that are chosen.

    With the folder of an earlier survey, only the choice is made again.
    """
    from controller.app.new_session import require_bridge
    from controller.app.profiles import find_profile
    from controller.app.survey_files import ASSEMBLIES, read_assemblies, write_assemblies
    from controller.common.errors import BridgeError, UsageError
    from controller.common.exit_codes import ExitCode
    from controller.hardware.interface import MicroscopeError
    from controller.model.protocol import read_protocol

    survey = Path(args.protocol)
    if (survey / ASSEMBLIES).exists():
        assemblies, pictures = read_assemblies(survey)
        return _choose(args.choose, survey, survey / "protocol.toml", assemblies, pictures)
    path = find_profile(args.protocol)
    require_bridge(path, args.bridge)
    protocol = read_protocol(path)
    if args.out.exists() and any(args.out.iterdir()):
        raise UsageError(f"{args.out}: is not empty; choose a new folder with --out")
    try:
        with _microscope(path, protocol, args.bridge) as microscope:
            assemblies, frames = _survey(microscope, protocol, args.radius_nm)
    except MicroscopeError as error:
        raise BridgeError(str(error)) from None
    if not assemblies:
        print("no assembly was found; --radius-nm searches farther from the stage's zero")
        return ExitCode.SAFETY
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = write_assemblies(args.out, assemblies, frames)
    return _choose(args.choose, args.out, path, assemblies, pictures)


def _choose(
    given: str | None,
    out: Path,
    protocol_path: Path,
    assemblies: Sequence[Surveyed],
    pictures: Sequence[bytes],
) -> int:
    """List the assemblies, ask for the targets, and write list, protocol and page."""
    from controller.app.survey_files import parse_choice, write_page, write_targets
    from controller.app.validate_protocol import validate
    from controller.common.exit_codes import ExitCode
    from controller.model.protocol import read_protocol
    from controller.model.surveyed import suggested
    from controller.report.survey_page import as_text

    protocol = read_protocol(protocol_path)
    names = [each.name for each in suggested(assemblies, protocol)]
    print(as_text(assemblies, names))
    # the page is there before the question: it helps to choose
    print(write_page(out, protocol.name, assemblies, pictures, names), flush=True)
    chosen = parse_choice(_answer(given), assemblies, names)
    write_page(out, protocol.name, assemblies, pictures, chosen)
    written = write_targets(out, protocol_path, protocol, assemblies, chosen)
    print(f"{len(chosen)} targets in {written}")
    wrong = validate(written)
    for line in wrong:
        print(f"dualtilt: {line}", file=sys.stderr)
    return ExitCode.USAGE if wrong else ExitCode.OK


def _answer(given: str | None) -> str:
    """Return the choice: given, typed, or the suggestion where nobody can type."""
    if given is not None:
        return given
    if sys.stdin.isatty() and sys.stdout.isatty():
        return input("targets (names with commas between, all, none; Enter: those with a star): ")
    return "suggested"


@contextmanager
def _microscope(path: Path, protocol: Protocol, bridge: Path | None) -> Iterator[Microscope]:
    """Connect to the bridge, or to a simulator of its own with a fresh grid."""
    from controller.app.profiles import simulator_profile
    from controller.bridge.remote_microscope import connect
    from controller.bridge.start_bridge import start_bridge
    from controller.common.runtime_folder import runtime_folder
    from controller.hardware.limits import SessionLimits

    limits = SessionLimits(stage=protocol.limits.stage)
    if bridge is not None:
        microscope = connect(bridge, "survey", limits)
        try:
            yield microscope
        finally:
            microscope.close()
        return
    with tempfile.TemporaryDirectory(dir=runtime_folder()) as folder:
        settings = simulator_profile(protocol, path).absolute()
        with start_bridge(Path(folder), settings=settings) as simulator:
            microscope = simulator.connect("survey", limits)
            try:
                yield microscope
            finally:
                microscope.close()


def _survey(
    microscope: Microscope, protocol: Protocol, radius_nm: float
) -> tuple[tuple[Surveyed, ...], list[Frame]]:
    """Check the column, take the maps and a closer image of each assembly."""
    from controller.common.errors import SafetyStopError, UsageError
    from controller.model.survey import MAP_FIELDS, MAX_SURVEY_MAPS
    from controller.model.surveyed import judge_outlines
    from controller.procedures.flip.maps import wide_scan
    from controller.procedures.preflight import check_column, check_readiness
    from controller.procedures.survey_targets import (
        SurveyCamera,
        check_rotation,
        find_assemblies,
        look_closer,
        map_places_nm,
    )

    description = microscope.describe()
    checks = (*check_column(protocol, description), *check_readiness(microscope.status()))
    if failed := [f"{each.name} {each.detail}" for each in checks if not each.ok]:
        raise SafetyStopError(f"the column is not ready: {'; '.join(failed)}")
    scan, places = map_places_nm(protocol, description, radius_nm)
    if len(places) > MAX_SURVEY_MAPS:
        raise UsageError(f"--radius-nm: {len(places)} maps are needed, at most {MAX_SURVEY_MAPS}")
    camera = SurveyCamera(microscope, protocol)
    mapped = find_assemblies(camera, scan, places, _say)
    check_rotation(camera, scan, mapped)
    closer = wide_scan(protocol, description, MAP_FIELDS["middle"])
    seen = list(look_closer(camera, closer, mapped.positions_nm))
    current_pA = protocol.series_a.current_pA
    doses = (each.dose_e_per_A2(current_pA) for each in (scan, closer))
    each_map, each_closer = (f"{dose:.2g} e/Å²" for dose in doses)
    _say(f"{len(seen)} assemblies; a map gives {each_map}, the closer image {each_closer}")
    return judge_outlines([outline for outline, _ in seen], protocol), [frame for _, frame in seen]


def _say(line: str) -> None:
    print(line, flush=True)


def _radius(word: str) -> float:
    radius_nm = float(word)
    if not 0 < radius_nm <= LARGEST_RADIUS_NM:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {LARGEST_RADIUS_NM:g} nm")
    return radius_nm
