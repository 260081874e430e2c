"""SerialEM's mdoc files: the recording conditions of each image in a stack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.text import read_text, to_number

NO_KEYS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class MdocHeader:
    """Keys above the first section."""

    image_file: str
    image_size: tuple[int, int]
    """(columns, rows)."""
    pixel_nm: float
    voltage_kV: float | None = None
    data_mode: int | None = None
    """MRC mode of the stack."""
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class MdocSection:
    """Keys of one image."""

    section: int
    """Place of the image in the stack, from 0; `ZValue` in the file."""
    tilt_angle_deg: float
    stage_x_um: float | None = None
    stage_y_um: float | None = None
    stage_z_um: float | None = None
    magnification: float | None = None
    pixel_nm: float | None = None
    dose_e_per_A2: float | None = None
    exposure_time_s: float | None = None
    defocus_um: float | None = None
    rotation_angle_deg: float | None = None
    date_time: str | None = None
    """Date and time as SerialEM writes them: ``22-Nov-26  10:01:10``."""
    min_max_mean: tuple[float, float, float] | None = None
    probe_current_pA: float | None = None
    excluded: bool = False
    """True for a damaged image, or one marked unusable during recording. `Excluded` in the file,
    a key that only dualtilt writes."""
    extra: Mapping[str, str] = field(default_factory=lambda: NO_KEYS)
    """All other keys, with their values as text."""


@dataclass(frozen=True)
class Mdoc:
    """Content of an mdoc file."""

    header: MdocHeader
    sections: tuple[MdocSection, ...]
    notes: tuple[str, ...] = ()
    """One line for each oddity."""


SECTION_KEYS = {
    "TiltAngle": "tilt_angle_deg",
    "StageZ": "stage_z_um",
    "Magnification": "magnification",
    "ExposureDose": "dose_e_per_A2",
    "ExposureTime": "exposure_time_s",
    "Defocus": "defocus_um",
    "RotationAngle": "rotation_angle_deg",
    "ProbeCurrentPicoamp": "probe_current_pA",
}
"""Keys that hold one number in the unit of the field. SerialEM has no key for the current."""
SECTION_NAMES = ("ZValue", "FrameSet", "MontSection")
"""Names of a section, the one that describes single images first."""
KNOWN_KEYS = {
    key.lower(): key
    for key in (
        *SECTION_KEYS,
        *SECTION_NAMES,
        *("T", "PixelSpacing", "Voltage", "ImageFile", "ImageSize", "DataMode", "Binning"),
        *("StagePosition", "MinMaxMean", "DateTime", "Excluded"),
    )
}
"""Keys by their name in small letters."""


def write_mdoc(path: Path, header: MdocHeader, sections: Sequence[MdocSection]) -> None:
    """Write an mdoc file in one step, so that a reader never sees half of it."""
    blocks = [_header_lines(header), *(_section_lines(section) for section in sections)]
    replace_text(path, "\n\n".join("\n".join(block) for block in blocks) + "\n")


def read_mdoc(path: Path) -> Mdoc:
    """Read an mdoc file. Keys without a field of their own go to `extra`.

    Sections may be called ZValue, FrameSet or MontSection, keys stand in any case and order, and
    numbers may have a decimal comma. A section that is written twice counts as it stands last.

    Raises
    ------
    InputFileError
        The file does not exist, a section has no tilt angle, or a value is not a number.
    """
    top: dict[str, str] = {}
    titles: list[str] = []
    blocks: list[tuple[str, dict[str, str]]] = []
    for line in read_text(path).splitlines():
        key, equals, value = (part.strip() for part in line.strip().strip("[]").partition("="))
        name = KNOWN_KEYS.get(key.lower(), key)
        if not equals:
            continue
        if name == "T":
            titles.append(value)
        elif name in SECTION_NAMES:
            blocks.append((name, {"ZValue": value}))
        else:
            (blocks[-1][1] if blocks else top)[name] = value
    try:
        return Mdoc(_header(top, titles), *_sections(blocks))
    except KeyError as error:
        raise InputFileError(
            f"{path}: section {error.args[0]} has no TiltAngle; add the key, or give the angles to "
            "`dualtilt process` with --angles FILE"
        ) from None
    except (ValueError, OverflowError) as error:  # infinity is a number, but no whole one
        raise InputFileError(f"{path}: {error}; correct the value") from None


def _header_lines(header: MdocHeader) -> list[str]:
    lines = [f"PixelSpacing = {_number(10 * header.pixel_nm)}"]
    if header.voltage_kV is not None:
        lines.append(f"Voltage = {_number(header.voltage_kV)}")
    lines.append(f"ImageFile = {header.image_file}")
    lines.append(f"ImageSize = {header.image_size[0]} {header.image_size[1]}")
    if header.data_mode is not None:
        lines.append(f"DataMode = {header.data_mode}")
    return lines + [f"\n[T = {title}]" for title in header.titles]


def _section_lines(section: MdocSection) -> list[str]:
    lines = [f"[ZValue = {section.section}]"]
    for key, name in SECTION_KEYS.items():
        value = getattr(section, name)
        if value is not None:
            lines.append(f"{key} = {_number(value)}")
    if section.stage_x_um is not None and section.stage_y_um is not None:
        x, y = _number(section.stage_x_um), _number(section.stage_y_um)
        lines.append(f"StagePosition = {x} {y}")
    if section.pixel_nm is not None:
        lines.append(f"PixelSpacing = {_number(10 * section.pixel_nm)}")
    if section.min_max_mean is not None:
        lines.append("MinMaxMean = " + " ".join(_number(v) for v in section.min_max_mean))
    if section.date_time is not None:
        lines.append(f"DateTime = {section.date_time}")
    if section.excluded:
        lines.append("Excluded = 1")
    return lines + [f"{key} = {value}" for key, value in section.extra.items()]


def _header(values: dict[str, str], titles: list[str]) -> MdocHeader:
    sides = [int(side) for side in re.findall(r"\d+", values.get("ImageSize", ""))][:2]
    return MdocHeader(
        image_file=values.get("ImageFile", ""),
        image_size=(sides[0], sides[1]) if len(sides) == 2 else (0, 0),
        pixel_nm=to_number(values.get("PixelSpacing", "0")) / 10,
        voltage_kV=_optional(values, "Voltage"),
        data_mode=int(to_number(values["DataMode"])) if "DataMode" in values else None,
        titles=tuple(titles),
    )


def _sections(
    blocks: list[tuple[str, dict[str, str]]],
) -> tuple[tuple[MdocSection, ...], tuple[str, ...]]:
    """Return the images by the kind of section that describes one image each, and notes."""
    names = {name for name, _ in blocks}
    kind = next((name for name in SECTION_NAMES if name in names), "")
    sections = [_section(values) for name, values in blocks if name == kind]
    by_number = {described.section: described for described in sections}
    if len(sections) > 1 and len(by_number) == 1:
        # files of frames: each is number 0 of its own
        return tuple(replace(described, section=n) for n, described in enumerate(sections)), ()
    again = len(sections) - len(by_number)
    notes = [f"{again} sections are written twice; the last counts"] if again else []
    last = max(by_number, default=-1)
    if min(by_number, default=0) != 0 or last != len(by_number) - 1:
        notes.append(
            f"its {len(by_number)} sections are not numbered 0 to {len(by_number) - 1}; "
            "they are taken in the order of their numbers"
        )
    return tuple(by_number.values()), tuple(notes)


def _section(values: dict[str, str]) -> MdocSection:
    values = dict(values)
    section = int(to_number(values.pop("ZValue")))
    if "TiltAngle" not in values:
        raise KeyError(section)
    numbers = {"tilt_angle_deg": to_number(values.pop("TiltAngle"))}
    for key, name in SECTION_KEYS.items():
        value = _optional(values, key)
        if value is not None:
            numbers[name] = value
            del values[key]
    position = _several(values.get("StagePosition", ""))
    if len(position) >= 2:
        numbers |= {"stage_x_um": position[0], "stage_y_um": position[1]}
        del values["StagePosition"]
    if "PixelSpacing" in values:
        numbers["pixel_nm"] = to_number(values.pop("PixelSpacing")) / 10
    statistics = _several(values.get("MinMaxMean", ""))
    if len(statistics) == 3:
        del values["MinMaxMean"]
    return MdocSection(
        section,
        date_time=values.pop("DateTime", None),
        excluded=values.pop("Excluded", "0").strip() == "1",
        min_max_mean=(statistics[0], statistics[1], statistics[2])
        if len(statistics) == 3
        else None,
        extra=MappingProxyType(values),
        **numbers,
    )


def _optional(values: dict[str, str], key: str) -> float | None:
    """Return a number that processing can do without; None if it is missing or not a number."""
    try:
        return to_number(values[key])
    except (KeyError, ValueError):
        return None


def _several(text: str) -> list[float]:
    """Return the numbers of a list; empty if one is not a number."""
    try:
        return [to_number(part) for part in text.split()]
    except ValueError:
        return []


def _number(value: float) -> str:
    return f"{value:.7g}"
