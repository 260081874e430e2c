"""`python -m tests.structure_check [--images] [--size NM] [--seeds N]`.

Simulates assemblies of each packing, and compares the structure of found positions with that of the
true ones: positions that are disturbed as a reconstruction does or, with `--images`, those that A,
B and both series show. Writes a table of docs/structure.md. The exit code is 1 if a difference is
larger than the goals.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.structure_check.from_images import measure_from_images
from tests.structure_check.measure import measure
from tests.structure_check.page import DISTURBED, FROM_IMAGES, missed, page
from tests.support.packings import OF_EQUAL_SPHERES

PAGE = Path(__file__).parents[2] / "docs" / "structure.md"


def main(arguments: list[str]) -> int:
    """Measure all packings; print each row, write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.structure_check", description=__doc__)
    parser.add_argument("--size", type=float, default=165.0, metavar="NM")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    parser.add_argument("--images", action="store_true", help="record and process both series")
    chosen = parser.parse_args(arguments)
    measured, name = (measure_from_images, FROM_IMAGES) if chosen.images else (measure, DISTURBED)
    rows = []
    for packing in OF_EQUAL_SPHERES:
        for seed in range(1, chosen.seeds + 1):
            for row in measured(packing, chosen.size, seed):
                rows.append(row)
                print(row, *missed(row), flush=True)
    text = chosen.page.read_text(encoding="utf-8")
    chosen.page.write_text(page(text, rows, name), encoding="utf-8")
    return int(any(missed(row) for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
