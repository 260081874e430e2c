"""`python -m controller.bridge`: the verb alone, for a PC that has nothing but the bridge."""

from __future__ import annotations

import argparse
import sys

from controller.cli import bridge
from controller.errors import DualtiltError


def main() -> int:
    """Run the bridge."""
    parser = argparse.ArgumentParser(prog="dualtilt bridge", description=bridge.HELP)
    bridge.add_arguments(parser)
    try:
        return bridge.run(parser.parse_args())
    except DualtiltError as error:
        print(f"dualtilt bridge: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
