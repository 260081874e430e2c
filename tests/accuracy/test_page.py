"""The accuracy page summarises the measured results correctly."""

from __future__ import annotations

from typing import Any

from tests.accuracy.page import page


def table(f1: float, rms_nm: float = 0.1, outer: float = 1.0) -> dict[str, Any]:
    return {
        "found": 100,
        "f1": f1,
        "recall": f1,
        "precision": f1,
        "rms_nm": [rms_nm, rms_nm, 2 * rms_nm],
        "recall_by_depth": [outer, 1.0, 1.0],
        "failure": None,
    }


def outcome(seed: int, count: tuple[int, int, int], **fused: float) -> dict[str, Any]:
    return {
        "case": "fcc",
        "seed": seed,
        "truth": 100,
        "tables": {"A": table(0.9), "fused": table(**{"f1": 1.0, **fused})},
        "count": list(count),
        "diameter_error": -0.01,
        "registration_deg": 0.02,
        "registration_px": 0.1,
        "scale_error": 0.0,
        "seconds": 10.0,
        "peak_GB": 1.0,
    }


def test_the_summary_of_a_case_shows_its_worst_values() -> None:
    text = page(
        [
            outcome(101, (100, 98, 102)),
            outcome(102, (99, 96, 98), f1=0.95, rms_nm=0.2, outer=0.8),
        ]
    )
    summary = next(line for line in text.splitlines() if line.startswith("| fcc |"))
    cells = [cell.strip() for cell in summary.split("|")[1:]]
    assert cells[:7] == ["fcc", "2", "1", "3.00%", "0.9500", "0.40", "0.8000"]
    assert "| A alone | 0.9000 (0.9000) |" in text
    assert "100 particles, 2 data sets." in text
