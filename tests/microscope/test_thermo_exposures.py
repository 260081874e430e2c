"""Exposures, probe current and emergency stops on a Thermo Fisher column, on its stand-in."""

from __future__ import annotations

import numpy as np
import pytest

from controller.hardware.adapters.thermo import connect
from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    BeamLostError,
    CurrentNotSetError,
    Microscope,
    MicroscopeError,
    NotSupportedError,
    OutOfLimitsError,
    StageState,
    VacuumError,
    ValvesClosedError,
)
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from tests.microscope.contract import new_id
from tests.support.adapters import PROBE_PA, SCAN
from tests.support.columns import temscript
from tests.support.columns.spoil import Spoil, spoil
from tests.support.thermo_column import SETTINGS
from tests.support.virtual_clock import VirtualClock


@pytest.mark.parametrize(
    ("break_it", "error", "words"),
    [
        pytest.param(spoil(valves_open=False), ValvesClosedError, "valves", id="valves"),
        pytest.param(spoil(vacuum=4), VacuumError, "vacuum", id="vacuum"),
        pytest.param(spoil(ht_state=2), BeamLostError, "high tension", id="high-tension"),
        pytest.param(spoil(mode=temscript.TEM), NotSupportedError, "STEM mode", id="tem-mode"),
        pytest.param(
            spoil(detectors=["BF"]), NotSupportedError, "there are: BF", id="detector-out"
        ),
        pytest.param(
            spoil(refuses={"frame": temscript.E_NOT_OK}), AcquisitionError, "not OK", id="no-frame"
        ),
        pytest.param(spoil(full_px=1024), AcquisitionError, r"\(256, 256\)", id="other-size"),
        pytest.param(spoil(offset=-5), AcquisitionError, "brightness", id="below-0"),
        pytest.param(spoil(offset=70_000), AcquisitionError, "do not fit", id="beyond-16-bit"),
    ],
)
def test_impossible_exposure_raises_its_error(
    thermo: Microscope, tem: temscript.Column, break_it: Spoil, error: type[Exception], words: str
) -> None:
    break_it(tem)
    with pytest.raises(error, match=words):
        thermo.acquire(new_id(), SCAN)
    assert tem.blanked
    if not issubclass(error, AcquisitionError):
        assert not tem.did("unblank")
    assert not tem.did("valves")


def test_closed_valves_stay_closed_at_every_request(
    thermo: Microscope, tem: temscript.Column
) -> None:
    tem.valves_open = False
    for ask in (
        lambda: thermo.acquire(new_id(), SCAN),
        lambda: thermo.illuminate(new_id(), 2.0, 500.0),
        lambda: thermo.set_current(new_id(), PROBE_PA),
    ):
        with pytest.raises(ValvesClosedError):
            ask()
    assert not thermo.status().valves_open
    assert not tem.did("valves") + tem.did("unblank")


@pytest.mark.parametrize(
    ("areas", "side_px", "pixel_nm", "expected"),
    [
        pytest.param(["FULL"], 512, 500 / 512, (0, 1, 80e3), id="full"),
        pytest.param(["FULL"], 128, 250 / 128, (0, 4, 160e3), id="binned"),
        pytest.param(["FULL"], 128, 252 / 128, (0, 4, 160e3), id="near-enough"),
        pytest.param(["FULL", "HALF"], 256, 500 / 256, (0, 2, 80e3), id="full-comes-first"),
        pytest.param(["HALF"], 256, 500 / 256, (1, 1, 40e3), id="half-is-full-at-twice"),
        pytest.param(["QUARTER"], 128, 500 / 128, (2, 1, 20e3), id="quarter"),
    ],
)
def test_scan_uses_an_area_and_binning_of_the_column(
    tem: temscript.Column,
    areas: list[str],
    side_px: int,
    pixel_nm: float,
    expected: tuple[int, int, float],
) -> None:
    microscope = connect({**SETTINGS, "areas": areas}, None, VirtualClock())
    microscope.set_current(new_id(), PROBE_PA)
    scan = ScanSettings(width_px=side_px, height_px=side_px, pixel_nm=pixel_nm, dwell_us=3.0)
    frame = microscope.acquire(new_id(), scan)
    microscope.close()
    (taken,) = tem.frames
    assert (taken["ImageSize"], taken["Binning"], taken["magnification"]) == expected
    assert taken["DwellTime"] == pytest.approx(3e-6)
    assert taken["lit"]
    assert frame.pixels.dtype == np.uint16
    assert tem.active == ["HAADF"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"width_px": 96}, "choose from 512 x 512, 256 x 256", id="size"),
        pytest.param({"pixel_nm": 3.0}, "offers 0.9766, 1.953, 3.906, 7.812, 15.6", id="pixel"),
        pytest.param({"dwell_us": 0.2}, "at least 0.5 us", id="dwell-short"),
        pytest.param({"dwell_us": 2000.0}, "the column set 1000 us", id="dwell-clipped"),
    ],
)
def test_other_scans_are_refused_with_those_on_offer(
    thermo: Microscope, tem: temscript.Column, change: dict[str, float], words: str
) -> None:
    with pytest.raises(OutOfLimitsError, match=words):
        thermo.acquire(new_id(), SCAN.model_copy(update=change))
    assert not tem.did("unblank")


def test_rows_run_along_y(tem: temscript.Column) -> None:
    images = []
    for sense in (1, -1):
        microscope = connect({**SETTINGS, "rows_sense": sense}, None, VirtualClock())
        microscope.set_current(new_id(), PROBE_PA)
        tem.frames.clear()
        images.append(microscope.acquire(new_id(), SCAN).pixels)
        microscope.close()
    np.testing.assert_array_equal(images[0][::-1], images[1])


@pytest.mark.parametrize(
    ("probe_A", "wanted_pA", "ok"),
    [
        pytest.param(70e-12, 70.0, True, id="as-wanted"),
        pytest.param(64e-12, 70.0, True, id="within-a-tenth"),
        pytest.param(55e-12, 70.0, False, id="too-little"),
        pytest.param(90e-12, 70.0, False, id="too-much"),
        pytest.param(-1e-13, 70.0, False, id="no-beam"),
    ],
)
def test_current_is_verified_on_the_screen(
    thermo: Microscope, tem: temscript.Column, probe_A: float, wanted_pA: float, ok: bool
) -> None:
    tem.probe_A = probe_A
    if ok:
        assert thermo.set_current(new_id(), wanted_pA) == pytest.approx(probe_A * 1e12)
    else:
        with pytest.raises(CurrentNotSetError, match=r"set 70 pA within 10%"):
            thermo.set_current(new_id(), wanted_pA)
    assert thermo.status().current_pA == pytest.approx(max(0.0, probe_A * 1e12))
    assert [what for what, _ in tem.log] == [
        "screen down",
        "unblank",
        "blank",
        "screen up",
    ]


def test_screen_is_lifted_before_an_exposure(thermo: Microscope, tem: temscript.Column) -> None:
    tem.screen = tem.screen_target = temscript.DOWN  # the operator looked at the beam
    thermo.acquire(new_id(), SCAN)
    assert [frame["screen"] for frame in tem.frames] == [temscript.UP]


def test_nothing_is_exposed_before_the_current_is_verified(tem: temscript.Column) -> None:
    microscope = connect(SETTINGS, None, VirtualClock())
    with pytest.raises(OutOfLimitsError, match="verify it with set_current first"):
        microscope.acquire(new_id(), SCAN)
    microscope.close()
    assert not tem.did("unblank")


def test_beam_shower_consists_of_frames_with_blanking_between(
    thermo: Microscope, tem: temscript.Column
) -> None:
    started_s = thermo.status().time_s
    thermo.illuminate(new_id(), 12.0, 1000.0)
    assert thermo.status().time_s - started_s == pytest.approx(12.0, abs=1.0)
    assert [frame["magnification"] for frame in tem.frames] == [40e3] * 3
    assert [what for what, _ in tem.log] == ["unblank", "frame", "blank"] * 3


def test_beam_shower_without_a_matching_field_is_refused(
    thermo: Microscope, tem: temscript.Column
) -> None:
    with pytest.raises(OutOfLimitsError, match="offers"):
        thermo.illuminate(new_id(), 12.0, 700.0)
    assert not tem.frames


@pytest.mark.parametrize("stop", ["blank", "make_safe"])
def test_blanking_does_not_wait_for_a_frame(
    thermo: Microscope, tem: temscript.Column, stop: str
) -> None:
    seen = []

    def emergency(what: str) -> None:
        {"blank": thermo.blank, "make_safe": lambda: thermo.make_safe("a test")}[stop]()
        status = thermo.status()
        seen.append((what, status.beam_blanked, status.busy))

    tem.during = emergency
    with pytest.raises(AbortedError):
        thermo.illuminate(new_id(), 12.0, 500.0)
    assert seen == [("frame", True, True)]  # no further frame was started
    assert tem.did("blank")[0].startswith("column-watch")
    assert tem.blanked


def test_move_in_progress_ends_without_exposure_after_make_safe(
    thermo: Microscope, tem: temscript.Column
) -> None:
    states = []

    def emergency(what: str) -> None:
        thermo.make_safe("a test")
        states.append((what, thermo.status().busy))

    tem.during, tem.rest_after_looks = emergency, 20
    with pytest.raises(AbortedError):
        thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))
    assert states == [("move", True)]
    with pytest.raises(NotSupportedError, match="cannot stop"):
        thermo.stop_stage()
    assert not tem.did("unblank")


def test_status_shows_a_move_in_progress(thermo: Microscope, tem: temscript.Column) -> None:
    states = []

    def look(what: str) -> None:
        tem.stage_status = temscript.GOING
        tem.rest_after_looks = 1
        states.append(thermo.status().stage_state)

    tem.during = look
    thermo.move_stage(new_id(), StagePosition(alpha_deg=10.0))
    assert states == [StageState.MOVING]


def test_beam_that_cannot_be_blanked_is_an_error(thermo: Microscope, tem: temscript.Column) -> None:
    tem.refuses = {"blank": temscript.E_NOT_OK}
    with pytest.raises(MicroscopeError, match="blanking the beam: not OK"):
        thermo.acquire(new_id(), SCAN)


def test_work_commands_run_on_the_work_thread_only(
    thermo: Microscope, tem: temscript.Column
) -> None:
    thermo.move_stage(new_id(), StagePosition(alpha_deg=5.0))
    thermo.acquire(new_id(), SCAN)
    assert {thread.rsplit("_", 1)[0] for _, thread in tem.log} == {"column-work"}
