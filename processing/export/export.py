"""Write the results of a session in the formats of other programs."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import disk_usage

from processing.errors import InputFileError
from processing.export.empiar import export_empiar
from processing.export.finished import Finished
from processing.export.raw_series import raw_series
from processing.export.targets import ExportTarget
from processing.files.dynamo_table import write_dynamo_table, write_dynamo_volumes
from processing.files.hyperspy import write_hspy
from processing.files.imod_model import write_imod_model
from processing.files.ncem_emd import write_ncem_emd
from processing.files.nexus import NexusSession, write_nexus
from processing.files.ome_zarr import write_ome_zarr
from processing.files.relion_star import write_relion_star
from processing.progress import Progress, silent, within

Write = Callable[[Finished, Path, Progress], None]
"""Writes one file or folder."""


@dataclass(frozen=True)
class Product:
    """One file or folder of an export; `name` may hold ``{volume}``."""

    name: str
    write: Write
    content: Callable[[Finished], str] = lambda finished: ""
    """Returns the pattern of the paths in a folder; empty for a file."""


def _star(finished: Finished, path: Path, progress: Progress) -> None:
    write_relion_star(path, finished.read_particles(), finished.grid, finished.name)


def _dynamo_table(finished: Finished, path: Path, progress: Progress) -> None:
    write_dynamo_table(path, finished.read_particles(), finished.grid)


def _dynamo_volumes(finished: Finished, path: Path, progress: Progress) -> None:
    write_dynamo_volumes(path, finished.volume)


def _imod(finished: Finished, path: Path, progress: Progress) -> None:
    write_imod_model(path, finished.read_particles(), finished.grid)


def _zarr(finished: Finished, path: Path, progress: Progress) -> None:
    volume = finished.read_volume().data
    write_ome_zarr(path, volume, finished.grid, finished.facts, progress=progress)


def _nexus(finished: Finished, path: Path, progress: Progress) -> None:
    about = finished.about
    sample = {
        "name": about.sample,
        "is_simulation": about.is_simulation,
        "atom_types": ", ".join(about.atom_types) or None,
        "preparation_date": _iso(about.preparation_date),
    }
    write_nexus(
        path,
        finished.read_volume().data,
        finished.read_particles(),
        finished.grid,
        NexusSession(about.title, _iso(about.start_time), sample),
        finished.facts,
        progress=progress,
    )


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _hspy(finished: Finished, path: Path, progress: Progress) -> None:
    write_hspy(path, finished.read_volume().data, finished.grid, finished.facts)


def _emd(finished: Finished, path: Path, progress: Progress) -> None:
    volume = finished.read_volume().data
    write_ncem_emd(path, volume, finished.grid, finished.facts, progress=progress)


def _zarr_content(finished: Finished) -> str:
    return r"zarr\.json|\d+(/zarr\.json|/c(/\d+)*)?"


def _empiar_content(finished: Finished) -> str:
    files = [f"{one.name}/{file.name}" for one in raw_series(finished) for file in one.files]
    names = "|".join(map(re.escape, files))
    return rf"deposition\.json|README\.txt|data(/[AB]|/({names}))?"


VOLUME_TARGETS = (ExportTarget.ZARR, ExportTarget.NEXUS, ExportTarget.HSPY, ExportTarget.EMD)
"""Formats that hold the volume."""
SMALL_BYTES = 1 << 20
"""Space for all that is beside a volume."""
PRODUCTS: dict[ExportTarget, tuple[Product, ...]] = {
    ExportTarget.STAR: (Product("particles_{volume}.star", _star),),
    ExportTarget.DYNAMO: (
        Product("particles_{volume}.tbl", _dynamo_table),
        Product("particles_{volume}.doc", _dynamo_volumes),
    ),
    ExportTarget.IMOD: (Product("particles_{volume}.mod", _imod),),
    ExportTarget.ZARR: (Product("{volume}.ome.zarr", _zarr, _zarr_content),),
    ExportTarget.NEXUS: (Product("{volume}.nxs", _nexus),),
    ExportTarget.EMPIAR: (Product("empiar", export_empiar, _empiar_content),),
    ExportTarget.HSPY: (Product("{volume}.hspy", _hspy),),
    ExportTarget.EMD: (Product("{volume}.emd", _emd),),
}


def export(
    finished: Finished,
    targets: Sequence[ExportTarget],
    out: Path,
    *,
    replace: bool = False,
    progress: Progress = silent,
) -> list[Path]:
    """Write the results in each format; return the files and folders written.

    Nothing is written if one of them exists, unless `replace` is set.

    Raises
    ------
    InputFileError
        A file exists, a folder to be replaced holds files that no export wrote, or one of the
        results is missing or damaged.
    """
    products = [product for target in targets for product in PRODUCTS[target]]
    paths = [out / product.name.format(volume=finished.name) for product in products]
    present = [path for path in paths if path.exists() or path.is_symlink()]
    if present and not replace:
        names = ", ".join(path.name for path in present)
        raise InputFileError(
            f"{out}: already holds {names}; --again writes them again, --out DIR elsewhere"
        )
    for product, path in zip(products, paths, strict=True):
        pattern = product.content(finished)  # missing images are said before anything is written
        _require_own(path, pattern)
    out.mkdir(parents=True, exist_ok=True)
    _require_space(finished, out, sum(target in VOLUME_TARGETS for target in targets))
    for number, (product, path) in enumerate(zip(products, paths, strict=True)):
        part = within(progress, number / len(products), (number + 1) / len(products))
        part(path.name, 0.0)
        product.write(finished, path, part)
    return paths


def _require_space(finished: Finished, out: Path, volumes: int) -> None:
    """Refuse to fill the disk: HDF5 ends the process if it cannot close its file.

    Raises
    ------
    OSError
        There is no space for this number of copies of the volume.
    """
    needed = volumes * (finished.volume.stat().st_size + SMALL_BYTES)
    free = disk_usage(out).free
    if volumes and free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free; free disk space, or "
            "choose another --out folder",
            str(out),
        )


def _require_own(path: Path, pattern: str) -> None:
    """Refuse to replace what no export wrote: a folder is removed with all that is in it.

    Raises
    ------
    InputFileError
        A folder is in the place of a file, or holds other files than an export writes.
    """
    if path.is_symlink() or not path.is_dir():
        return
    if not pattern:
        raise InputFileError(f"{path}: is a folder; move it away, or choose another --out folder")
    for found in path.rglob("*"):
        name = found.relative_to(path).as_posix()
        if not re.fullmatch(pattern, name):
            raise InputFileError(
                f"{found}: not of an export, and would be removed; move it away, or choose "
                "another --out folder"
            )
