"""Options of the verbs that process tilt series: `process` and `batch`."""

from __future__ import annotations

import argparse
import re
from typing import Any

from controller.app.cli.reading_arguments import at_least_one, within
from controller.common.settings_file import KIND_NAME_PATTERN, PATTERN_DESCRIPTIONS
from controller.model.fusion_rules import FusionRule
from controller.model.plausible import DIAMETER, MEMORY

RULE_HELP = (
    "rule for the fused volume: stronger detail of A and B (masked, the default), larger wavelet "
    "coefficient (paper), mean of both (mean), or blend over depth (depth-weighted)"
)
DIAMETER_HELP = "particle diameter (default: estimated)"
SHAPE_HELP = (
    "shape of the particles with its size in nm: rod:6x20 (diameter x length), cube:8, "
    "octahedron:9, tetrahedron:10 (edge), or a FILE.xyz with the balls of one particle "
    "(default: sphere)"
)
KINDS_HELP = (
    "most sizes of particles to look for (default: 2; a second one only where the brightness of "
    "the others hints at it)"
)
NAMES_HELP = (
    "names of the kinds of particles, the brightest first, as Au,Ag: species in the XYZ files "
    "(default: Au)"
)
BIN_HELP = "average squares of N x N pixels (default: what the particles need)"
CROP_HELP = (
    "first column and row, width and height to process, in px (default: the object's region)"
)
DEVICE_HELP = "computes on the CPU or on an NVIDIA GPU (default: auto, a GPU where there is one)"
MEMORY_HELP = "largest volumes held in memory; larger ones go to files (default: 6)"
CONTROLS_HELP = "also count the volume of every rule, for comparison"


def add_processing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the settings of processing; an option that is not given is None."""
    add = parser.add_argument
    add("--diameter-nm", type=within(DIAMETER), metavar="D", help=DIAMETER_HELP)
    add("--shape", type=_shape, metavar="SHAPE", help=SHAPE_HELP)
    add("--kinds", type=int, choices=(1, 2), help=KINDS_HELP)
    add("--names", type=_kind_names, metavar="NAME[,NAME]", help=NAMES_HELP)
    add("--bin", type=at_least_one, metavar="N", help=BIN_HELP)
    add("--crop", type=int, nargs=4, metavar=("X", "Y", "W", "H"), help=CROP_HELP)
    add("--memory-limit-GB", type=within(MEMORY), metavar="G", help=MEMORY_HELP)
    add("--device", choices=("auto", "cpu", "cuda"), help=DEVICE_HELP)
    add("--rule", choices=tuple(rule.value for rule in FusionRule), help=RULE_HELP)
    add("--controls", action="store_true", default=None, help=CONTROLS_HELP)


def _kind_names(text: str) -> list[dict[str, str]]:
    """Return the names of the kinds of particles as a setting."""
    names = text.split(",")
    wrong = [name for name in names if not re.fullmatch(KIND_NAME_PATTERN, name)]
    if wrong or len(names) > 2:
        raise argparse.ArgumentTypeError(
            f"{text!r}: one or two names with a comma between, each "
            f"{PATTERN_DESCRIPTIONS[KIND_NAME_PATTERN]}"
        )
    return [{"name": name} for name in names]


def _shape(text: str) -> str | None:
    """Return a shape that can be read; None for spheres."""
    from processing.errors import ProcessingError
    from processing.shapes.body import parse_shape

    try:
        return None if parse_shape(text) is None else text
    except ProcessingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def chosen_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the user gave, by their names in `ProcessSettings`."""
    chosen = {
        "diameter_nm": args.diameter_nm,
        "shape": args.shape,
        "second_size": None if args.kinds is None else args.kinds == 2,
        "particles": args.names,
        "bin": args.bin,
        "crop_px": args.crop,
        "memory_limit_GB": args.memory_limit_GB,
        "device": args.device,
        "fusion_rule": args.rule,
        "controls": args.controls,
    }
    return {name: value for name, value in chosen.items() if value is not None}
