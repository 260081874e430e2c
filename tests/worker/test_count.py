"""Events that the count child publishes for a count, by its verdict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from controller.worker import count as count_module
from controller.worker.child_messages import CountFrames, Published, Reply
from processing import write_images
from processing.align.alignment import unaligned
from processing.results import Cause, Count, Trust, Verdict
from processing.series import TiltSeries
from tests.support.frames import recorded_frame

TILTS = 8
PROTOCOL = 'name = "live"\n[scan]\nwidth_px = 64\nheight_px = 64\npixel_nm = 1.0\ndwell_us = 1.0\n'
REFUSED = Verdict(state=Trust.REFUSED, reasons=("only noise",), causes=(Cause.NOISE,))


def refused(series: TiltSeries) -> SimpleNamespace:
    return SimpleNamespace(
        alignment=unaligned(series),
        count=Count(n=900, n_low=0, n_high=1800, verdict=REFUSED),
        result=SimpleNamespace(
            summary=SimpleNamespace(tilts=TILTS), diameter=SimpleNamespace(value=6.0)
        ),
    )


def too_few_tilts(series: TiltSeries) -> None:
    return None


@pytest.mark.parametrize(
    ("found", "published"), [(refused, ["counted"]), (too_few_tilts, [])], ids=["refused", "none"]
)
def test_a_refused_count_has_no_advice(
    found: object, published: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    images = np.random.default_rng(1).poisson(50, (TILTS, 64, 64)).astype(np.uint16)
    write_images(tmp_path / "A.mrc", images, 1.0)
    counter = SimpleNamespace(count=lambda series, progress: found(series))  # type: ignore[operator]
    monkeypatch.setattr(count_module, "SeriesCounter", lambda settings: counter)
    sent: list[Reply] = []
    frames = tuple(
        recorded_frame("A", number, nominal_deg=5.0 * number) for number in range(1, TILTS + 1)
    )
    count_module.handler(tmp_path, sent.append)(
        CountFrames(series="A", frames=frames, tilts_left=20)
    )
    assert [reply.event.kind for reply in sent if isinstance(reply, Published)] == published
