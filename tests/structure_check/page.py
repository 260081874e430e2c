"""The tables of docs/structure.md, each between its two marks."""

from __future__ import annotations

from collections.abc import Sequence

from tests.structure_check.measure import Row

DISTURBED, FROM_IMAGES = "structure-check", "structure-from-images"
"""Names of the tables."""
MOST_POINTS, MOST_TURN_DEG, MOST_EDGE_PERCENT = 3.0, 0.5, 0.2


def page(text: str, rows: Sequence[Row], name: str = DISTURBED) -> str:
    """Return the page with the rows between the marks of a table."""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = text.split(start)
    after = rest.split(end)[1]
    return f"{before}{start}\n{table(rows)}\n{end}{after}"


def table(rows: Sequence[Row]) -> str:
    """Return one line for each packing and level: the worst of all seeds."""
    head = (
        "| packing | positions | particles | shares, points | grains, true / found | twin planes, "
        "true / found | orientation, degrees | lattice constant, % | depth, nm | error ratios: "
        "coordination, S(q), q6 |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for packing in dict.fromkeys(row.packing for row in rows):
        for level in dict.fromkeys(row.level for row in rows):
            own = [row for row in rows if (row.packing, row.level) == (packing, level)]
            if own:
                lines.append(_line(packing, level, own))
    return "\n".join(lines)


def missed(row: Row) -> list[str]:
    """Return the goals that a row misses."""
    found = []
    if row.share_points > MOST_POINTS:
        found.append(f"shares differ by {row.share_points:.1f} points")
    if row.turn_deg is not None and row.turn_deg > MOST_TURN_DEG:
        found.append(f"an orientation differs by {row.turn_deg:.2f} degrees")
    off_lattice = row.packing == "icosahedral"  # its tetrahedra are strained by 5 %
    if row.edge_percent is not None and abs(row.edge_percent) > MOST_EDGE_PERCENT:
        found += [] if off_lattice else [f"the lattice constant by {row.edge_percent:+.2f} %"]
    return found


def _line(packing: str, level: str, rows: Sequence[Row]) -> str:
    worst = max(rows, key=lambda row: row.share_points)
    turns = [row.turn_deg for row in rows if row.turn_deg is not None]
    edges = [row.edge_percent for row in rows if row.edge_percent is not None]
    cells = (
        packing,
        level,
        str(round(sum(row.particles for row in rows) / len(rows))),
        f"{worst.share_points:.1f} (given: {worst.share_error_points:.1f})",
        ", ".join(f"{true} / {found}" for true, found in (row.grains for row in rows)),
        ", ".join(f"{true} / {found}" for true, found in (row.planes for row in rows)),
        f"{max(turns):.2f}" if turns else "–",
        f"{max(edges, key=abs):+.3f}" if edges else "–",
        f"{max(row.depth_rms_nm for row in rows):.2f}",
        ", ".join(
            f"{max(ratios):.2f}"
            for ratios in zip(
                *[(row.coordination, row.scattering, row.bond_order) for row in rows], strict=True
            )
        ),
    )
    return "| " + " | ".join(cells) + " |"
