"""The `dualtilt` command: runs a verb, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, cast

from controller.app.cli.output_folder import require_places
from controller.common.errors import DualtiltError, one_line, path_error_text
from controller.common.exit_codes import ExitCode

# Our own threads and processes use all cores and inherit these variables. BLAS threads on top of
# them would only wait for each other, for minutes on a busy machine.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

VERBS = (
    "demo",
    "run",
    "plan",
    "check",
    "attach",
    "serve",
    "answer",
    "pause",
    "retake",
    "complete",
    "stop",
    "resume",
    "bridge",
    "simulate",
    "reproduce",
    "process",
    "batch",
    "inspect",
    "analyse",
    "report",
    "fsc",
    "compare",
    "export",
    "config",
)


EMPTY = ""
"""Argument that would be taken for the current folder; only the reason of an answer may be it."""


class Verb(Protocol):
    """Interface of a verb's module, which keeps heavy imports inside `run`."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Run the verb; return the exit code."""


class OneLineParser(argparse.ArgumentParser):
    """Parser that says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the arguments are listed; exit code 2."""
        self.exit(ExitCode.USAGE, f"dualtilt: {one_line(message)}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """Option that prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"dualtilt {version('dualtilt')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Build the whole command line."""
    parser = OneLineParser(
        prog="dualtilt",
        description="Dual tilt-series tomography of thick nanoparticle assemblies, in one session.",
        epilog="Manual: docs/operating.md. Words such as shower, lease, section: docs/GLOSSARY.md.",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="show the version")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name in VERBS:
        verb = _load(name)
        verb.add_arguments(verbs.add_parser(name, help=verb.HELP, description=verb.HELP))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Returns
    -------
    int
        An :class:`~controller.common.exit_codes.ExitCode`.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    if EMPTY in (sys.argv[1:] if argv is None else argv) and args.verb != "answer":
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
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output has closed it
        return ExitCode.OK
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
            f"internal error: {summary} (run again with --debug)", ExitCode.INTERNAL_ERROR
        )


def _load(name: str) -> Verb:
    return cast(Verb, import_module(f"controller.app.cli.{name}"))


def _print_error(text: str, code: ExitCode) -> ExitCode:
    print(f"dualtilt: {one_line(text)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
