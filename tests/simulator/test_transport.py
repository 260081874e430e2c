"""Electrons in gold: Monte Carlo against published figures, the table against Monte Carlo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from simulator import transport


@dataclass(frozen=True)
class Depth:
    """Figures for an assembly of fill 0.39, from an earlier, independent Monte Carlo."""

    depth_nm: float
    unscattered: float
    r50_nm: float
    r90_nm: float
    seen_r50_nm: float
    seen_r90_nm: float
    strength: float | None


DEPTHS = (
    Depth(40.0, 0.30, 0.3, 1.9, 0.3, 1.1, 0.13),
    Depth(80.0, 0.09, 1.6, 6.0, 1.0, 2.3, None),
    Depth(120.0, 0.027, 3.6, 11.5, 1.8, 3.3, None),
    Depth(165.0, 0.007, 6.4, 19.0, 2.6, 4.2, 0.057),
)


@pytest.fixture(scope="module")
def clouds() -> dict[float, transport.Cloud]:
    depths = np.array([case.depth_nm for case in DEPTHS])
    rng = np.random.default_rng(0)
    arrived = transport.clouds(200_000, rng, depths * transport.FILL)
    return dict(zip(depths.tolist(), arrived, strict=True))


@pytest.mark.parametrize("case", DEPTHS, ids=lambda case: f"{case.depth_nm:g} nm")
def test_beam_broadens_as_measured(case: Depth, clouds: dict[float, transport.Cloud]) -> None:
    cloud = clouds[case.depth_nm]
    assert (~cloud.scattered).sum() / 200_000 == pytest.approx(case.unscattered, abs=0.005)
    assert np.quantile(cloud.radii_nm, 0.5) == pytest.approx(case.r50_nm, abs=0.12)
    assert np.quantile(cloud.radii_nm, 0.9) == pytest.approx(case.r90_nm, rel=0.03)


@pytest.mark.parametrize("case", DEPTHS, ids=lambda case: f"{case.depth_nm:g} nm")
def test_detector_sees_less_blur_and_less_signal(
    case: Depth, clouds: dict[float, transport.Cloud]
) -> None:
    cloud = clouds[case.depth_nm]
    order = np.argsort(cloud.radii_nm)
    gained = np.cumsum(transport.gain(cloud)[order])
    share = gained / gained[-1]
    radii = cloud.radii_nm[order]
    assert radii[np.argmax(share > 0.5)] == pytest.approx(case.seen_r50_nm, abs=0.12)
    assert radii[np.argmax(share > 0.9)] == pytest.approx(case.seen_r90_nm, abs=0.15)
    if case.strength is not None:
        assert gained[-1] / 200_000 == pytest.approx(case.strength, abs=0.004)


def test_mean_free_path_is_the_published_one() -> None:
    assert transport.mean_free_path_nm() == pytest.approx(12.9, abs=0.1)


def test_table_is_what_a_short_run_gives_within_its_error() -> None:
    table = transport.load()
    rows = [5, 14, 20, 28]
    runs = np.stack(
        [
            transport.make(20_000, seed, table.depths_au_nm[rows]).transfer
            for seed in range(100, 112)
        ]
    )
    error = runs.std(axis=0, ddof=1) / np.sqrt(len(runs))
    off = np.abs(runs.mean(axis=0) - table.transfer[rows])
    # 12 runs: five times the error of the mean, and the rounding of the table's five digits
    assert np.all(off <= 5.0 * error + 1e-5)


def test_response_summed_over_depth_is_the_known_saturation() -> None:
    table = transport.load()
    steps = np.diff(table.depths_au_nm) / transport.mean_free_path_nm()
    signal = np.cumsum(steps * 0.5 * (table.transfer[1:, 0] + table.transfer[:-1, 0]))
    known = 0.65 * np.tanh(table.depths_au_nm[1:] / 57.0)
    np.testing.assert_allclose(signal, known, atol=0.016)
