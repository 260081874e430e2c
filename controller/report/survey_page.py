"""Assemblies of a survey: text for the terminal, survey.html with a thumbnail of each."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from controller.common.errors import quoted
from controller.model.surveyed import Surveyed
from controller.report.html import MISSING, section, table, text

HEADINGS = (
    "name",
    "x, nm",
    "y, nm",
    "size, nm",
    "round",
    "nearest, nm",
    "shaded A, B",
    "against it",
)
THUMBNAIL_WIDTH_PX = 160
SCRIPT = """
const boxes = [...document.querySelectorAll("input[type=checkbox]")];
const command = document.getElementById("command");
const show = () => {
  const names = boxes.filter((box) => box.checked).map((box) => box.name);
  command.textContent = `${command.dataset.begin} --choose ${names.join(",") || "none"}`;
};
boxes.forEach((box) => { box.onchange = show; });
show();
"""
"""Script of the page: it keeps the command up to date."""
WHITE_PERCENT = 99.8


def as_text(assemblies: Sequence[Surveyed], chosen: Collection[str]) -> str:
    """Return one line for each assembly; a star marks those that are suggested as targets."""
    cells = [HEADINGS, *(_cells(each) for each in assemblies)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    marks = [" ", *("*" if each.name in chosen else " " for each in assemblies)]
    return "\n".join(
        f"{mark} " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for mark, row in zip(marks, cells, strict=True)
    )


def as_page(
    name: str,
    folder: Path,
    assemblies: Sequence[Surveyed],
    pictures: Sequence[bytes],
    chosen: Collection[str],
) -> str:
    """Return the page with the thumbnail (PNG) of each assembly, on which targets are ticked.

    The page writes no files: it shows the command that takes the ticked targets.
    """
    style = files("controller.report").joinpath("style.css").read_text(encoding="utf-8")
    rows = (
        [
            text(each.name),
            _image(picture),
            _tick(each.name, chosen=each.name in chosen),
            *(text(cell) if cell else MISSING for cell in _cells(each)[1:]),
        ]
        for each, picture in zip(assemblies, pictures, strict=True)
    )
    begin = f"dualtilt survey {quoted(folder.absolute())}"
    body = section(
        "Assemblies",
        table(("name", "", "target", *HEADINGS[1:]), rows),
        "<p>Tick the targets, then type this command; nothing is exposed again:</p>"
        f'<p><code id="command" style="user-select: all" data-begin="{text(begin)}"></code></p>',
    )
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'\">"
        f"<title>{text(name)}: survey – dualtilt</title><style>{style}</style></head><body><main>"
        f"<h1>{text(name)}: survey of the grid</h1>{body}</main>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _tick(name: str, *, chosen: bool) -> str:
    return (
        f'<input type="checkbox" name="{text(name)}" aria-label="{text(name)}"'
        f"{' checked' if chosen else ''}>"
    )


def thumbnail(pixels: NDArray[Any]) -> bytes:
    """Return an image [y, x] as PNG, the highest y on top."""
    buffer = io.BytesIO()
    white = max(float(np.percentile(pixels, WHITE_PERCENT)), float(pixels.min()) + 1.0)
    imsave(
        buffer,
        pixels,
        cmap="gray",
        vmin=float(pixels.min()),
        vmax=white,
        origin="lower",
        format="png",
    )
    return buffer.getvalue()


def _image(picture: bytes) -> str:
    content = base64.b64encode(picture).decode()
    return f'<img alt="" width="{THUMBNAIL_WIDTH_PX}" src="data:image/png;base64,{content}">'


def _cells(each: Surveyed) -> tuple[str, ...]:
    shaded = (each.shaded_a_deg, each.shaded_b_deg)
    return (
        each.name,
        f"{each.x_nm:.0f}",
        f"{each.y_nm:.0f}",
        f"{each.diameter_nm:.0f}",
        f"{each.roundness:.2f}",
        "-" if each.nearest_nm is None else f"{each.nearest_nm:.0f}",
        ", ".join("never" if deg is None else f"{deg:.0f}°" for deg in shaded),
        "; ".join(each.faults),
    )
