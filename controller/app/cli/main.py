"""The `dualtilt` command: runs a verb, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, cast

from controller.app.cli.closed_pipe import lost_output, outlive_readers
from controller.app.cli.output_folder import require_places
from controller.common.ctrl_c import HungUpError, hang_up_raises, sigterm_as_ctrl_c
from controller.common.errors import DualtiltError, one_line, path_error_text
from controller.common.exit_codes import ExitCode

# Our own threads and processes use all cores and inherit these variables. BLAS threads on top of
# them would only wait for each other, for minutes on a busy machine.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

VERBS = {
    "demo": "run a whole session on the simulator, in a few minutes",
    "run": "run a dual tilt-series session",
    "plan": "print every step of a session with its estimated time and dose",
    "check": "check protocol, disk, dose, processing and, with --bridge, the microscope",
    "survey": "find the assemblies of a grid on low-dose maps and write a list of targets",
    "attach": "show a running session again: its screen, or text without a terminal",
    "serve": "show a session in a browser, read-only, while it runs and afterwards",
    "answer": "answer the open prompt of a running session",
    "pause": "pause a running session after the current step, beam blanked; --go-on ends the pause",
    "retake": "record the last tilts of the running series again",
    "complete": "record all tilts of the running series, though its count is settled",
    "stop": "stop a running session; `dualtilt resume` continues it",
    "resume": "continue a session after a stop, a crash or a power cut",
    "bridge": "serve a microscope, real or simulated, to one session at a time",
    "simulate": "write both simulated tilt series and the truth, without a session",
    "reproduce": "repeat the paper's experiments on the simulator and compare the results"
    " with the paper's",
    "process": "reconstruct one tilt series, or two and their fusion, and count the particles",
    "batch": "process many sessions, or pairs of series, on this machine or on a cluster",
    "inspect": "show what is understood of tilt series, and the results of a session;"
    " processes nothing",
    "analyse": "analyse the structure of an assembly: order, grains, twins, layers",
    "report": "write the report of a session again",
    "fsc": "measure the resolution of the volumes by depth and direction"
    " (Fourier shell correlation)",
    "compare": "compare counts, verdicts and particles of results of the same object",
    "export": "write the results for other programs: volume, particle coordinates, raw data",
    "config": "show or validate a protocol, or print its schema",
}
"""Purpose of each verb, in the order of the help text."""

OTHER_WORDS = {
    "abort": "stop",
    "cancel": "stop",
    "continue": "resume",
    "count": "process",
    "gui": "attach",
    "monitor": "attach",
    "reconstruct": "process",
    "restart": "resume",
    "results": "inspect",
    "show": "attach",
    "start": "run",
    "status": "attach",
    "view": "inspect",
    "watch": "attach",
    "web": "serve",
}
"""Words that users try, and the verb that does it."""

EMPTY = ""
"""Argument that would be taken for the current folder; only the reason of an answer may be it."""


class Verb(Protocol):
    """Interface of a verb's module, which keeps heavy imports inside `run`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Run the verb; return the exit code."""


class OneLineParser(argparse.ArgumentParser):
    """Parser that says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the arguments are listed; exit code 2."""
        self.exit(ExitCode.USAGE, f"dualtilt: {one_line(message)}; see {self.prog} --help\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Print which options are unknown, or else which words are too many; exit code 2."""
        options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        if not options:
            self.error(f"too many arguments: {' '.join(unknown)}")
        known = self._option_string_actions
        self.error(
            ", ".join(f"unknown option {each}{_did_you_mean(each, known)}" for each in options)
        )


class _Version(argparse.Action):
    """Option that prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"dualtilt {version('dualtilt')}")
        parser.exit()


def build_parser(chosen: str | None) -> OneLineParser:
    """Build the command line; only the chosen verb is loaded and gets its arguments."""
    parser = OneLineParser(
        prog="dualtilt",
        description="Dual tilt-series tomography of thick nanoparticle assemblies, in one session.",
        epilog="Manual: docs/operating.md. Words such as shower, lease, section: docs/GLOSSARY.md.",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="show the version")
    parser.set_defaults(parser=parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, purpose in VERBS.items():
        verb_parser = verbs.add_parser(name, help=purpose, description=purpose)
        verb_parser.set_defaults(parser=verb_parser)
        if name == chosen:
            _load(name).add_arguments(verb_parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns
    -------
    int
        An :class:`~controller.common.exit_codes.ExitCode`.
    """
    if argv is not None:
        return _run_words(argv)
    outlive_readers()
    with hang_up_raises(), sigterm_as_ctrl_c():
        code = _run_words(sys.argv[1:])
    if reason := lost_output():
        lost = _print_error(f"the output of this command was lost: {reason}", ExitCode.USAGE)
        code = code or lost
    if code == ExitCode.INTERRUPTED:
        # a thread that the interrupt has left with a lock would never end, and Python waits for it
        sys.stderr.flush()
        os._exit(code)
    return code


def _run_words(words: list[str]) -> int:
    """Run one verb; turn its errors into one line and an exit code."""
    # no option before the verb takes a value
    chosen = next((word for word in words if not word.startswith("-")), None)
    parser = build_parser(chosen)
    if chosen is not None and chosen not in VERBS:
        meant = OTHER_WORDS.get(chosen)
        hint = f" (did you mean {meant}?)" if meant else _did_you_mean(chosen, VERBS)
        parser.error(f"unknown verb {chosen!r}{hint}")
    args, unknown = parser.parse_known_args(words)
    if unknown:
        args.parser.refuse(unknown)
    if EMPTY in words and args.verb != "answer":
        parser.error(
            "an argument is empty, maybe a variable without value; fill it or leave it out"
        )
    if args.verb is None:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    try:
        require_places(args)
        return _load(args.verb).run(args)
    except DualtiltError as error:
        if args.debug:
            raise
        return _print_error(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _print_error("interrupted", ExitCode.INTERRUPTED)
    except HungUpError as hung_up:
        return _print_error(str(hung_up), ExitCode.INTERRUPTED)
    except OSError as error:
        if args.debug:
            raise
        # a file or folder that the user named, or one beside it
        return _print_error(path_error_text(error, Path()), ExitCode.USAGE)
    except Exception as error:
        if args.debug:
            raise
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        return _print_error(
            f"internal error: {summary} (run again as: dualtilt --debug ...)",
            ExitCode.INTERNAL_ERROR,
        )


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question for the known word that is most like a wrong one; empty without one."""
    similar = get_close_matches(word, known, n=1)
    return f" (did you mean {similar[0]}?)" if similar else ""


def _load(name: str) -> Verb:
    return cast(Verb, import_module(f"controller.app.cli.{name}"))


def _print_error(text: str, code: ExitCode) -> ExitCode:
    print(f"dualtilt: {one_line(text)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
