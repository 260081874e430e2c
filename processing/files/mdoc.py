"""SerialEM's mdoc files: the recording conditions of each image in a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from processing.errors import InputFileError
from processing.files.atomic import replace_text

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


def write_mdoc(path: Path, header: MdocHeader, sections: Sequence[MdocSection]) -> None:
    """Write an mdoc file in one step, so that a reader never sees half of it."""
    blocks = [_header_lines(header), *(_section_lines(section) for section in sections)]
    replace_text(path, "\n\n".join("\n".join(block) for block in blocks) + "\n")


def read_mdoc(path: Path) -> Mdoc:
    """Read an mdoc file. Keys without a field of their own go to `extra`.

    Raises
    ------
    InputFileError
        The file does not exist, a section has no tilt angle, or a value is not a number.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    top: dict[str, str] = {}
    titles: list[str] = []
    sections: list[dict[str, str]] = []
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.strip().strip("[]").partition("="))
        if not equals:
            continue
        if line.lstrip().startswith("[T"):
            titles.append(value)
        elif key == "ZValue":
            sections.append({key: value})
        else:
            (sections[-1] if sections else top)[key] = value
    try:
        return Mdoc(_header(top, titles), tuple(_section(values) for values in sections))
    except KeyError as error:
        raise InputFileError(f"{path}: a section has no {error.args[0]}; add the key") from None
    except ValueError as error:
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
    columns, rows = values.get("ImageSize", "0 0").split()
    return MdocHeader(
        image_file=values.get("ImageFile", ""),
        image_size=(int(columns), int(rows)),
        pixel_nm=float(values.get("PixelSpacing", 0)) / 10,
        voltage_kV=float(values["Voltage"]) if "Voltage" in values else None,
        data_mode=int(values["DataMode"]) if "DataMode" in values else None,
        titles=tuple(titles),
    )


def _section(values: dict[str, str]) -> MdocSection:
    values = dict(values)
    section = int(values.pop("ZValue"))
    numbers = {name: float(values.pop(key)) for key, name in SECTION_KEYS.items() if key in values}
    if "tilt_angle_deg" not in numbers:
        raise KeyError("TiltAngle")
    if "StagePosition" in values:
        x, y = values.pop("StagePosition").split()[:2]
        numbers |= {"stage_x_um": float(x), "stage_y_um": float(y)}
    if "PixelSpacing" in values:
        numbers["pixel_nm"] = float(values.pop("PixelSpacing")) / 10
    statistics = [float(v) for v in values.pop("MinMaxMean", "").split()]
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


def _number(value: float) -> str:
    return f"{value:.7g}"
