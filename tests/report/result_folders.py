"""Folders with tables of structure and resolution, as `dualtilt process` and `fsc` write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

G_R = "r_nm,g,error\n1,0,0.1\n2,3,0.4\n3,1,0.2\n"
S_Q = "q_per_nm,s,error\n0.5,0.2,0.1\n1,4,0.5\n"
LAYERS = [
    {
        "number": number,
        "particles": 100,
        "depth_nm": 6.0 * number,
        "neighbour_distance_nm": {"value": 7.5 + 0.1 * number, "error": 0.02 * number},
        "neighbour_spread_nm": 0.3,
        "coordination": 11.0,
    }
    for number in (1, 2, 3)
]
FSC = "volume,sector,depth_nm,frequency_per_nm,correlation\n" + "".join(
    f"{volume},{sector},{depth},{frequency},{correlation}\n"
    for volume, correlation in (("A", 0.6), ("fused", 0.9))
    for sector, depth in (("all", ""), ("x", ""), ("all", "-5.00"))
    for frequency in (0.1, 0.2)
)
PARTS = [
    {"volume": volume, "sector": "all", "depth_nm": depth_nm, "resolution_nm": resolution_nm}
    for volume, values in (("A", (5.0, 6.0, 4.0)), ("fused", (4.0, 3.5, None)))
    for depth_nm, resolution_nm in zip((None, -20.0, 20.0), values, strict=True)
]


def folder_with(folder: Path, **files: str) -> Path:
    """Write the results of a folder: the content of each file, whose name has `__` for its dot."""
    processed = folder / "processed"
    processed.mkdir()
    (processed / "summary.json").write_text('{"counts": {}}')
    for name, content in files.items():
        (processed / name.replace("__", ".")).write_text(content)
    return folder


def resolution_json(parts: list[dict[str, Any]]) -> str:
    return json.dumps({"threshold": 0.143, "voxel_limit_nm": 2.8, "parts": parts})
