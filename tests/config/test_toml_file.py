"""TOML files: one line that says where a slip is, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.toml_file import read_toml

SLIPS = {
    "cut off": (b"name = ", "end of document"),
    "decimal comma": (b"[scan]\npixel_nm = 1,2\n", "line 2.*write decimals with a point"),
    "no quotation marks": (b"name = demo\n", "line 1.*write text in quotation marks"),
    "typeset quotation marks": ("name = “demo”\n".encode(), "straight quotation marks"),
    "a path of Windows": (
        b'[column]\nsimulator_settings = "C:\\data\\s.toml"\n',
        "write / instead",
    ),
    "a capital letter": (b"ask_before_start = True\n", "write true or false"),
    "an image stack": (bytes(range(256)), "it is no text"),
    "UTF-16": ('name = "demo"\n'.encode("utf-16"), "save it as UTF-8"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_invalid_toml_gives_a_one_line_error_with_a_hint(slip: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    content, says = SLIPS[slip]
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match=rf"p\.toml: cannot be read as TOML.*{says}|{says}"
    ) as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)


def test_the_mark_that_windows_puts_in_front_of_utf_8_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes('\ufeffname = "x"\n'.encode())
    assert read_toml(path) == {"name": "x"}
