"""Electron transport in gold: Monte Carlo against references, the table against Monte Carlo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from simulator import transport


@dataclass(frozen=True)
class Depth:
    """Reference figures at a gold fraction of 0.39, from an earlier, independent Monte Carlo."""

    depth_nm: float
    unscattered: float
    r50_nm: float
    r90_nm: float
    detected_r50_nm: float
    detected_r90_nm: float
    signal: float | None


DEPTHS = (
    Depth(40.0, 0.30, 0.3, 1.9, 0.3, 1.1, 0.13),
    Depth(80.0, 0.09, 1.6, 6.0, 1.0, 2.3, None),
    Depth(120.0, 0.027, 3.6, 11.5, 1.8, 3.3, None),
    Depth(165.0, 0.007, 6.4, 19.0, 2.6, 4.2, 0.057),
)


@pytest.fixture(scope="module")
def electrons_at_depth() -> dict[float, transport.ArrivingElectrons]:
    depths = np.array([case.depth_nm for case in DEPTHS])
    rng = np.random.default_rng(0)
    arrived = transport.trace_electrons(200_000, rng, depths * transport.FILL_FRACTION)
    return dict(zip(depths.tolist(), arrived, strict=True))


@pytest.mark.parametrize("case", DEPTHS, ids=lambda case: f"{case.depth_nm:g} nm")
def test_beam_broadens_as_in_the_reference(
    case: Depth, electrons_at_depth: dict[float, transport.ArrivingElectrons]
) -> None:
    electrons = electrons_at_depth[case.depth_nm]
    assert (~electrons.scattered).sum() / 200_000 == pytest.approx(case.unscattered, abs=0.005)
    assert np.quantile(electrons.radii_nm, 0.5) == pytest.approx(case.r50_nm, abs=0.12)
    assert np.quantile(electrons.radii_nm, 0.9) == pytest.approx(case.r90_nm, rel=0.03)


@pytest.mark.parametrize("case", DEPTHS, ids=lambda case: f"{case.depth_nm:g} nm")
def test_detected_blur_and_signal_match_the_reference(
    case: Depth, electrons_at_depth: dict[float, transport.ArrivingElectrons]
) -> None:
    electrons = electrons_at_depth[case.depth_nm]
    order = np.argsort(electrons.radii_nm)
    gained = np.cumsum(transport.signal_gain(electrons)[order])
    fraction = gained / gained[-1]
    radii = electrons.radii_nm[order]
    assert radii[np.argmax(fraction > 0.5)] == pytest.approx(case.detected_r50_nm, abs=0.12)
    assert radii[np.argmax(fraction > 0.9)] == pytest.approx(case.detected_r90_nm, abs=0.15)
    if case.signal is not None:
        assert gained[-1] / 200_000 == pytest.approx(case.signal, abs=0.004)


def test_mean_free_path_is_the_published_one() -> None:
    assert transport.mean_free_path_nm() == pytest.approx(12.9, abs=0.1)


def test_table_agrees_with_short_runs_within_their_error() -> None:
    table = transport.load_table()
    rows = [5, 14, 20, 28]
    runs = np.stack(
        [
            transport.simulate_table(20_000, seed, table.depths_au_nm[rows]).transfer
            for seed in range(100, 112)
        ]
    )
    error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    deviation = np.abs(runs.mean(axis=0) - table.transfer[rows])
    # five times the standard error of 12 runs, plus the rounding to five digits in the table
    assert np.all(deviation <= 5.0 * error + 1e-5)


def test_response_summed_over_depth_is_the_known_saturation_curve() -> None:
    table = transport.load_table()
    steps = np.diff(table.depths_au_nm) / transport.mean_free_path_nm()
    signal = np.cumsum(steps * 0.5 * (table.transfer[1:, 0] + table.transfer[:-1, 0]))
    known = 0.65 * np.tanh(table.depths_au_nm[1:] / 57.0)
    np.testing.assert_allclose(signal, known, atol=0.016)
