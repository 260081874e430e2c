"""Events that the count child publishes for a count, by its verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from controller.model.events import Advised, Counted
from controller.model.frames import RecordedFrame
from controller.worker import count as count_module
from controller.worker.child_messages import CountFrames, Published, Reply
from processing import ProcessSettings, write_images
from processing.align.alignment import unaligned
from processing.results import Cause, Count, Trust, Verdict
from processing.series import TiltSeries
from tests.support.frames import recorded_frame

TILTS = 8
ORDER = "fcc 61 %, 5 grains"
PROTOCOL = 'name = "live"\n[scan]\nwidth_px = 64\nheight_px = 64\npixel_nm = 1.0\ndwell_us = 1.0\n'
REFUSED = Verdict(state=Trust.REFUSED, reasons=("only noise",), causes=(Cause.NOISE,))


def counting(found: Callable[[TiltSeries], SimpleNamespace | None]) -> SimpleNamespace:
    """Return a counter whose counts are given."""
    return SimpleNamespace(
        search=lambda series, progress: series, fit=lambda series, progress: found(series)
    )


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
    counter = counting(found)  # type: ignore[arg-type]
    monkeypatch.setattr(count_module, "SeriesCounter", lambda settings: counter)
    sent: list[Reply] = []
    frames = tuple(
        recorded_frame("A", number, nominal_deg=5.0 * number) for number in range(1, TILTS + 1)
    )
    count_module.handler(tmp_path, sent.append)(
        CountFrames(series="A", frames=frames, tilts_left=20)
    )
    assert [reply.event.kind for reply in sent if isinstance(reply, Published)] == published


def settled(n: int) -> SimpleNamespace:
    """Return a trusted live count, as far as the count child reads it."""
    angles_deg = np.linspace(-60.0, 60.0, 41)
    table = SimpleNamespace(confidence=np.ones(n))
    detection = SimpleNamespace(
        table=table, fitness=SimpleNamespace(step=0.1), exit_blurs_nm=(0.1,)
    )
    return SimpleNamespace(
        alignment=None,
        count=Count(n=n, n_low=n - 2, n_high=n + 2, verdict=Verdict(state=Trust.TRUSTED)),
        result=SimpleNamespace(
            summary=SimpleNamespace(tilts=41),
            diameter=SimpleNamespace(value=6.0),
            aligned=TiltSeries(np.zeros((41, 4, 4), np.float32), angles_deg, 1.0),
            detection=detection,
        ),
    )


def test_advice_on_more_tilts_follows_the_counts_and_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    images = np.random.default_rng(1).poisson(50, (6 * TILTS, 64, 64)).astype(np.uint16)
    write_images(tmp_path / "A.mrc", images, 1.0)
    found = iter([settled(200), settled(200), settled(201), settled(201), None, settled(200)])

    def count(series: TiltSeries) -> SimpleNamespace | None:
        newest = next(found)
        if newest is not None:
            newest.alignment = unaligned(series)
        return newest

    monkeypatch.setattr(count_module, "SeriesCounter", lambda settings: counting(count))
    monkeypatch.setattr(count_module, "structure_line", lambda table, count: ORDER)
    monkeypatch.setattr(count_module, "in_recorded_pixels", lambda alignment, sampling: None)
    monkeypatch.setattr(count_module, "write_refined_alignment", lambda *args: None)
    sent: list[Reply] = []
    handle = count_module.handler(tmp_path, sent.append)
    frames = [
        recorded_frame("A", number, nominal_deg=2.0 * number - 70)
        for number in range(1, 6 * TILTS + 1)
    ]

    def advice(frames: list[RecordedFrame], tilts_left: int) -> list[str]:
        sent.clear()
        handle(CountFrames(series="A", frames=tuple(frames), tilts_left=tilts_left))
        events = [reply.event for reply in sent if isinstance(reply, Published)]
        about = [e for e in events if isinstance(e, Advised) and e.topic == "convergence"]
        return [e.more_tilts.missing if e.more_tilts is not None else "begins again" for e in about]

    assert advice(frames[:8], 40) == []
    assert advice(frames[:16], 32) == ["one more count"]
    assert advice(frames[:24], 24) == [""]
    # a withdrawn frame: nothing that was said of the counts before holds any more
    assert advice([*frames[:3], *frames[4:33]], 16) == ["begins again"]
    assert advice([*frames[:3], *frames[4:41]], 8) == []  # no credible count
    assert advice([*frames[:3], *frames[4:48]], 0) == []


def result_of_a(kinds: list[str]) -> SimpleNamespace:
    """Return a result of A, as far as the count child reads it."""
    diameter, detection = SimpleNamespace(value=6.5, kinds=kinds), SimpleNamespace(count=None)
    return SimpleNamespace(diameter=diameter, detection=detection)


@pytest.mark.parametrize(("kinds", "second_size"), [([], False), (["large", "small"], True)])
def test_b_is_counted_with_the_sizes_found_in_a(
    kinds: list[str], second_size: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    images = np.random.default_rng(1).poisson(50, (TILTS, 64, 64)).astype(np.uint16)
    write_images(tmp_path / "B.mrc", images, 1.0)
    a = result_of_a(kinds)
    given: list[ProcessSettings] = []

    def counter(settings: ProcessSettings) -> SimpleNamespace:
        given.append(settings)
        return counting(too_few_tilts)

    monkeypatch.setattr(count_module, "read_series_result", lambda folder, name: a)
    monkeypatch.setattr(count_module, "reduce_to_counting_size", lambda result: result)
    monkeypatch.setattr(count_module, "SeriesCounter", counter)
    together = SimpleNamespace(count_before_fit=lambda searched, progress: None)
    monkeypatch.setattr(count_module, "FusedCounter", lambda a, settings: together)
    frames = tuple(
        recorded_frame("B", number, nominal_deg=5.0 * number) for number in range(1, TILTS + 1)
    )
    count_module.handler(tmp_path, lambda reply: None)(
        CountFrames(series="B", frames=frames, tilts_left=20)
    )
    assert [(one.diameter_nm, one.second_size) for one in given] == [(6.5, second_size)]


def fused_count() -> SimpleNamespace:
    """Return a count of both series, as far as the count child reads it."""
    detection, diameter = SimpleNamespace(table=None), SimpleNamespace(value=6.0)
    return SimpleNamespace(
        result=SimpleNamespace(detection=detection, diameter=diameter),
        images=70,
        count=Count(n=200, n_low=199, n_high=201, verdict=Verdict(state=Trust.TRUSTED)),
        start_of=lambda searched: searched,
    )


ORDERS = {
    "both first": (True, True, ["fused", "B"]),
    "the fitted B does not confirm its pose": (True, False, ["fused", "B", "fused"]),
    "candidates of B leave its pose open": (False, False, ["B", "fused"]),
}


@pytest.mark.parametrize(("clear", "confirmed", "order"), ORDERS.values(), ids=ORDERS)
def test_order_of_the_counts_during_b(
    clear: bool,
    confirmed: bool,
    order: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    images = np.random.default_rng(1).poisson(50, (TILTS, 64, 64)).astype(np.uint16)
    write_images(tmp_path / "B.mrc", images, 1.0)
    together = SimpleNamespace(
        count_before_fit=lambda searched, progress: fused_count() if clear else None,
        holds_for=lambda b: confirmed,
        count=lambda b, progress: fused_count(),
    )
    alone = counting(
        lambda series: SimpleNamespace(**{**vars(settled(200)), "alignment": unaligned(series)})
    )
    monkeypatch.setattr(count_module, "read_series_result", lambda folder, name: result_of_a([]))
    monkeypatch.setattr(count_module, "reduce_to_counting_size", lambda result: result)
    monkeypatch.setattr(count_module, "SeriesCounter", lambda settings: alone)
    monkeypatch.setattr(count_module, "FusedCounter", lambda a, settings: together)
    monkeypatch.setattr(count_module, "structure_line", lambda table, count: ORDER)
    monkeypatch.setattr(count_module, "in_recorded_pixels", lambda alignment, sampling: None)
    monkeypatch.setattr(count_module, "write_refined_alignment", lambda *args: None)
    sent: list[Reply] = []
    frames = tuple(
        recorded_frame("B", number, nominal_deg=5.0 * number) for number in range(1, TILTS + 1)
    )
    count_module.handler(tmp_path, sent.append)(
        CountFrames(series="B", frames=frames, tilts_left=20)
    )
    events = [reply.event for reply in sent if isinstance(reply, Published)]
    counted = [event for event in events if isinstance(event, Counted)]
    assert [event.which for event in counted] == order
    assert {event.structure for event in counted} == {ORDER}
