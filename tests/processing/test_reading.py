"""Angle files and mdocs of any kind are read; contradictions are decided by facts or refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.app.cli.print_inputs import described
from processing.errors import InputFileError
from processing.files.examine import ReadingOptions, examine_series
from processing.files.tilt_series import load_tilt_series
from tests.support.odd_files import GREY, LIST, TILTS, mdoc, mrc, write

# ---- angle files

WORDY = "name tilt\n" + "".join(f"img{n}.tif {angle}\n" for n, angle in enumerate(TILTS))


def encoded(text: str, encoding: str) -> bytes:
    return text.replace("\n", "\r\n").encode(encoding)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(LIST, "utf-16"), id="UTF-16"),
        pytest.param(encoded(LIST, "utf-16-le"), id="UTF-16 without mark"),
        pytest.param(encoded(LIST, "utf-8-sig"), id="UTF-8 with mark"),
        pytest.param(LIST.replace(".", ",").encode(), id="decimal commas"),
        pytest.param(LIST.replace("-", "\u2212").encode(), id="typeset minus"),
        pytest.param("\n".join(f"{n} {a:.1f}" for n, a in enumerate(TILTS)).encode(), id="from 0"),
        pytest.param(
            "\n".join(f"{n}\t{a:.1f}" for n, a in enumerate(TILTS, 1)).encode(), id="from 1"
        ),
        pytest.param("\n".join(f"{n};{a:.1f}" for n, a in enumerate(TILTS)).encode(), id=";"),
        pytest.param("\n".join(f"{n},{a:.1f}" for n, a in enumerate(TILTS)).encode(), id=","),
        pytest.param("\n".join(f"{a} 1 0.5" for a in TILTS).encode(), id="more columns behind"),
        pytest.param(b"# planned\ntilt (deg)\n\n" + LIST.encode() + b" # end\n", id="comments"),
        pytest.param(WORDY.encode(), id="names"),
        pytest.param(b"\xb0 tilt\n" + LIST.encode(), id="Latin-1"),
    ],
)
def test_angle_files_of_any_kind(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "A.tlt").write_bytes(data)
    series = load_tilt_series(write(tmp_path, mrc(GREY), {}))
    np.testing.assert_allclose(series.angles_deg, TILTS)


AGAIN = mdoc(angles=np.array([-20.0, -10.0, 0.5, 10.0, 20.0])) + "[ZValue = 2]\nTiltAngle = 0\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(mdoc(), id="ZValue"),
        pytest.param(mdoc(name="FrameSet"), id="FrameSet"),
        pytest.param(mdoc(name="MontSection"), id="MontSection"),
        pytest.param(mdoc().lower(), id="small letters"),
        pytest.param(mdoc().replace(".", ","), id="decimal commas"),
        pytest.param(mdoc().encode("utf-16").decode("latin-1"), id="UTF-16"),
        pytest.param(AGAIN, id="a section again"),
        pytest.param(mdoc(more="Defocus = n/a\nSpotSize =\n"), id="other keys without numbers"),
        pytest.param(mdoc(head=""), id="no head"),
    ],
)
def test_mdocs_of_any_kind(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, mrc(GREY), {})
    raw = text.startswith("\xff\xfe")
    (tmp_path / "A.mrc.mdoc").write_text(text, encoding="latin-1" if raw else "utf-8", newline="")
    series = load_tilt_series(path)
    np.testing.assert_allclose(series.angles_deg, TILTS)
    assert series.pixel_nm == pytest.approx(0.9)


# ---- contradictions


@dataclass(frozen=True)
class Resolved:
    id: str
    files: dict[str, str]
    line: str
    """Part of the one note or doubt."""
    data: bytes = mrc(GREY)
    pixel_nm: float = 0.9
    axis_deg: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


BINNED = mdoc(head="PixelSpacing = 2.25\nImageSize = 84 72\n")
CROPPED = mdoc(head="PixelSpacing = 9\nImageSize = 84 72\n")
TITLE = "PixelSpacing = 9\n[T =    Tilt axis angle = 84.8, binning = 1]\n"
THERMO = (
    "PixelSpacing = 9\n[T = Tomography: TITAN52339560 24-Mar-2023 12:13:13]\n"
    "[T =   TiltAxisAngle = -171.35  Binning = 1  SpotSize = 5]\n"
)
ALIGNED = np.array([b"NEWSTACK: Images copied, transformed", *[b""] * 9], "S80")
SHUFFLED = TILTS[[2, 1, 3, 0, 4]]
IMPOSSIBLE = {
    angle: mdoc().replace("TiltAngle = 10.0", f"TiltAngle = {angle}")
    for angle in ("1e308", "-1e400", "nan", "361")
}

RESOLVED = [
    Resolved("binned after recording", {"A.mrc.mdoc": BINNED}, "binned by 4"),
    Resolved(
        "binned, header unknown",
        {"A.mrc.mdoc": BINNED},
        "binned by 4.*if it was cropped.*--pixel",
        mrc(GREY, pixel_nm=0.1),
    ),
    Resolved("cropped after recording", {"A.mrc.mdoc": CROPPED}, "cropped"),
    Resolved("header in nm", {"A.mrc.mdoc": mdoc()}, "nm where angstrom", mrc(GREY, pixel_nm=0.09)),
    Resolved(
        "given pixel near that of the file",
        {"A.rawtlt": LIST},
        "0.95 nm as given; the header of A.mrc says 0.9 nm",
        pixel_nm=0.95,
        options={"pixel_nm": 0.95},
    ),
    Resolved(
        "given pixel",
        {"A.rawtlt": LIST},
        r"0.5 nm as given, but 0.9 nm \(the header of A.mrc\): every length.* is 0.556 times",
        pixel_nm=0.5,
        options={"pixel_nm": 0.5},
    ),
    Resolved(
        "1 angstrom is no measurement",
        {"A.rawtlt": LIST},
        "pixel size is not known",
        mrc(GREY, pixel_nm=0.1),
        pixel_nm=0.1,
    ),
    Resolved(
        "nm taken for angstrom",
        {"A.rawtlt": LIST},
        "it is 0.9 nm",
        mrc(GREY, pixel_nm=0.09),
        pixel_nm=0.09,
    ),
    Resolved(
        "another order",
        {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=TILTS[::-1])},
        "in another order",
    ),
    Resolved(
        "mdoc of another stack",
        {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=TILTS[:3])},
        "3 tilt angles for 5 images",
    ),
    Resolved(
        "damaged second file",
        {"A.rawtlt": "steep\n1\nsteeper", "A.mrc.mdoc": mdoc()},
        "not used.*steep",
    ),
    Resolved(
        "an angle of no stage, and a list",
        {"A.rawtlt": LIST, "A.mrc.mdoc": IMPOSSIBLE["1e308"]},
        r"A\.mrc\.mdoc: 1e\+308 degrees, in section 3, is not a tilt angle; .*not used",
    ),
    Resolved(
        "a gap in the numbers",
        {"A.mrc.mdoc": mdoc().replace("[ZValue = 4]", "[ZValue = 1e308]")},
        "its 5 sections are not numbered 0 to 4",
    ),
    Resolved(
        "axis of the images before IMOD aligned them",
        {"A.mdoc": mdoc(head=TITLE)},
        "IMOD has aligned these images; the tilt axis by the title of A.mdoc is not theirs",
        mrc(GREY, nlabl=1, label=ALIGNED),
    ),
    Resolved(
        "title and RotationAngle",
        {"A.mrc.mdoc": mdoc(head=TITLE, more="RotationAngle = 20\n")},
        "84.8 degrees by the title of A.mrc.mdoc, but -70.0 by RotationAngle",
        axis_deg=84.8,
    ),
]


def test_rotation_angle_of_thermo_fishers_tomography_is_the_tilt_axis(tmp_path: Path) -> None:
    """IMOD takes it so; its title counts the angle from another direction."""
    text = mdoc(head=THERMO, more="RotationAngle = 81.35\n")
    series = load_tilt_series(write(tmp_path, mrc(GREY), {"A.mrc.mdoc": text}))
    assert series.inputs is not None
    assert series.inputs.tilt_axis_deg == pytest.approx(81.35)
    assert series.inputs.tilt_axis_source == "RotationAngle in A.mrc.mdoc"
    assert series.notes == ()


@pytest.mark.parametrize(
    ("pixel_nm", "options", "says"),
    [
        pytest.param(0.9, {}, "pixel       0.9 nm (the header of A.mrc); field", id="known"),
        pytest.param(None, {}, "pixel       unknown", id="none"),
        pytest.param(0.1, {}, "pixel       unknown, taken as 0.1 nm (1.000 ang", id="1 angstrom"),
        pytest.param(0.1, {"pixel_nm": 0.1}, "pixel       0.1 nm (given); field", id="given"),
        pytest.param(0.9, {}, "tilt sense  positive: the angles as they are", id="sense"),
        pytest.param(
            0.9, {"tilt_sense": -1}, "tilt sense  negative: the sign of every angle", id="reversed"
        ),
    ],
)
def test_the_facts_of_a_series_are_said_plainly(
    pixel_nm: float | None, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = write(tmp_path, mrc(GREY, pixel_nm=pixel_nm), {"A.rawtlt": LIST})
    lines = described(examine_series(path, ReadingOptions(**options)).inputs)
    assert any(line.startswith(says) for line in lines), lines


@pytest.mark.parametrize("case", RESOLVED, ids=lambda case: case.id)
def test_what_facts_decide_is_used_and_said(case: Resolved, tmp_path: Path) -> None:
    series = load_tilt_series(write(tmp_path, case.data, case.files), **case.options)
    (line,) = series.notes + series.doubts
    assert re.search(case.line, line), line
    assert series.pixel_nm == pytest.approx(case.pixel_nm)
    assert series.inputs is not None
    assert series.inputs.tilt_axis_deg == case.axis_deg


@pytest.mark.parametrize(
    ("files", "data", "message"),
    [
        pytest.param(
            {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=TILTS + np.eye(5)[3] * 5)},
            mrc(GREY),
            r"A.mrc.mdoc and A.rawtlt disagree: section 3 at 15.00 or 10.00.*--angles",
            id="angles",
        ),
        pytest.param(
            {"A.mrc.mdoc": mdoc()},
            mrc(GREY, pixel_nm=0.5),
            r"0.9 nm by A.mrc.mdoc, but 0.5 nm by the header of A.mrc.*--pixel-nm",
            id="pixel size",
        ),
        pytest.param({"A.rawtlt": "0\n" * 5}, mrc(GREY), "all 5 tilt angles are 0.00", id="zero"),
        pytest.param(
            {"A.rawtlt": "0\n0.02\n-0.01\n0\n0.01"}, mrc(GREY), "all 5 tilt angles are", id="still"
        ),
        pytest.param({}, mrc(GREY), "no tilt angles", id="no angles"),
        pytest.param({"A.rawtlt": LIST}, mrc(GREY, pixel_nm=None), "no pixel size", id="no pixel"),
        pytest.param({"A.rawtlt": LIST}, mrc(GREY)[:-1], "cut off: it holds 4 whole", id="cut off"),
        pytest.param({"A.rawtlt": LIST}, mrc(GREY, mode=4), "mode 4 holds complex", id="complex"),
        pytest.param({"A.rawtlt": "400\n" * 5}, mrc(GREY), "line 1: '400'", id="400 degrees"),
        *(
            pytest.param({"A.mrc.mdoc": text}, mrc(GREY), r"section 3, is not a tilt", id=angle)
            for angle, text in IMPOSSIBLE.items()
        ),
        *(
            pytest.param({"A.mrc.mdoc": text}, mrc(GREY), "infinity", id=f"{key} inf")
            for key, text in {
                "ZValue": mdoc().replace("[ZValue = 2]", "[ZValue = inf]"),
                "DataMode": mdoc(head="PixelSpacing = 9\nDataMode = 1e400\n"),
            }.items()
        ),
    ],
)
def test_what_facts_leave_open_is_refused_in_one_line(
    files: dict[str, str], data: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputFileError, match=message) as refused:
        load_tilt_series(write(tmp_path, data, files))
    assert "\n" not in str(refused.value)
    assert "A." in str(refused.value)


def test_the_same_angles_in_another_order_are_handed_on(tmp_path: Path) -> None:
    files = {"A.rawtlt": LIST, "A.mrc.mdoc": mdoc(angles=SHUFFLED)}
    series = load_tilt_series(write(tmp_path, mrc(GREY), files))
    np.testing.assert_allclose(series.angles_deg, SHUFFLED)
    ((source, angles),) = series.other_angles
    assert source == "A.rawtlt"
    np.testing.assert_allclose(angles, TILTS)
