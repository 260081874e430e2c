"""Mdoc files, written and read."""

from __future__ import annotations

from pathlib import Path

import mdocfile
import pytest

from processing.errors import InputFileError
from processing.files.mdoc import MdocHeader, MdocSection, read_mdoc, write_mdoc


def test_mdocfile_and_read_mdoc_read_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "A.mrc.mdoc"
    sections = [
        MdocSection(
            z,
            tilt_angle_deg=-70 + 2 * z,
            stage_x_um=1.25,
            stage_y_um=-3.5,
            stage_z_um=0.1,
            magnification=225000,
            pixel_nm=0.9,
            dose_e_per_A2=12.5,
            exposure_time_s=6.5,
            rotation_angle_deg=-90,
            date_time="22-Nov-26  10:01:10",
            min_max_mean=(0, 310, 22.5),
            probe_current_pA=70,
            extra={"DwellTimeMicroseconds": "10"},
        )
        for z in range(3)
    ]
    header = MdocHeader("A.mrc", (9, 6), 0.9, 300, 6, ("dualtilt", "series A"))
    write_mdoc(path, header, sections)
    table = mdocfile.read(path)
    assert list(table["TiltAngle"]) == [-70, -68, -66]
    assert list(table["StagePosition"]) == [(1.25, -3.5)] * 3
    assert list(table["ExposureDose"]) == [12.5] * 3
    assert table["Voltage"][0] == 300
    ours = read_mdoc(path)
    assert ours.header == header
    assert list(ours.sections) == sections


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ZValue = 0]\nTiltAngle = 1\n[ZValue = 1]\nStageZ = 1\n", "section 1 has no TiltAngle"),
        ("[ZValue = 0]\nTiltAngle = steep\n", "steep"),
    ],
    ids=["no angle", "no number"],
)
def test_the_message_says_what_is_wrong_with_an_mdoc(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "A.mrc.mdoc"
    path.write_text(text)
    with pytest.raises(InputFileError, match=message):
        read_mdoc(path)
