"""Raw tilt series in the layout of EMPIAR: a folder for each image set, and what its form asks for.

The words of categories and formats are those of EMPIAR's public entries.
https://www.ebi.ac.uk/empiar/deposition/
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processing.files.atomic import replace_folder
from processing.progress import Progress, silent

VOXEL_TYPES = {
    "int8": "SIGNED BYTE",
    "uint8": "UNSIGNED BYTE",
    "int16": "SIGNED 16 BIT INTEGER",
    "uint16": "UNSIGNED 16 BIT INTEGER",
    "float32": "32 BIT FLOAT",
}
DATA_FORMATS = {".mrc": "MRC", ".st": "MRC", ".ali": "MRC", ".tif": "TIFF", ".tiff": "TIFF"}
COPY_BYTES = 16 << 20


@dataclass(frozen=True)
class ImageSet:
    """One tilt series as EMPIAR describes it."""

    name: str
    files: Sequence[Path]
    """The images first."""
    images: int
    columns: int
    rows: int
    sample_type: str
    pixel_nm: float | None
    details: str

    @property
    def directory(self) -> str:
        """Folder of the series within the deposition."""
        return f"data/{self.name}"


def write_empiar(
    path: Path,
    sets: Sequence[ImageSet],
    form: Mapping[str, Any],
    readme: str,
    *,
    progress: Progress = silent,
) -> None:
    """Copy the series into a folder, with ``deposition.json`` and ``README.txt``.

    Parameters
    ----------
    form
        Entries of EMPIAR's form other than the image sets; None where one is missing.
    """
    files = [(one.directory, file) for one in sets for file in one.files]
    total = max(1, sum(file.stat().st_size for _, file in files))
    done = 0
    with replace_folder(path) as partial:
        for directory, file in files:
            (partial / directory).mkdir(parents=True, exist_ok=True)
            with file.open("rb") as source, (partial / directory / file.name).open("wb") as copy:
                while chunk := source.read(COPY_BYTES):
                    copy.write(chunk)
                    done += len(chunk)
                    progress(path.name, done / total)
            shutil.copystat(file, partial / directory / file.name)
        content = {**form, "imagesets": [_described(one) for one in sets]}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (partial / "deposition.json").write_text(text, encoding="utf-8")
        (partial / "README.txt").write_text(readme, encoding="utf-8")


def _described(one: ImageSet) -> dict[str, Any]:
    pixel_angstrom = None if one.pixel_nm is None else 10 * one.pixel_nm
    data_format = DATA_FORMATS.get(one.files[0].suffix.lower())
    return {
        "name": f"Tilt series {one.name}",
        "directory": one.directory,
        "category": "tilt series",
        "header_format": data_format,
        "data_format": data_format,
        "num_images_or_tilt_series": 1,
        "frames_per_image": one.images,
        "voxel_type": VOXEL_TYPES.get(one.sample_type),
        "pixel_width": pixel_angstrom,
        "pixel_height": pixel_angstrom,
        "image_width": one.columns,
        "image_height": one.rows,
        "details": one.details,
    }
