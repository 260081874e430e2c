"""Choose the pixel size where several sources name one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processing.files.mdoc import Mdoc
from processing.files.mrc_header import DEFAULT_PIXEL_NM
from processing.files.said import SaidValue

AGREE = 0.02
"""Largest relative difference of two pixel sizes that agree."""
FAR = 0.1
"""Relative difference of the given size from those of all files that is rather a mistake."""
ANGSTROM_PER_NM = 10.0
PLAUSIBLE_NM = (0.1, 20.0)
"""Pixel sizes that need no second look; atoms are recorded with smaller ones, which are rare."""


@dataclass(frozen=True)
class ChosenPixel:
    """The pixel size in use, or a refusal, with what was odd about the sources."""

    nm: float | None
    source: str = "unknown"
    assumed: bool = False
    """True if no source knows the size."""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    refusal: str | None = None


def choose_pixel(
    said: Sequence[SaidValue], given_nm: float | None, unknown_in_header: bool
) -> ChosenPixel:
    """Choose the given size, else the one that all sources agree on.

    Parameters
    ----------
    said
        Sizes in nm, the most trustworthy source first.
    unknown_in_header
        True if the header holds 1 angstrom, which stands for an unknown size.
    """
    if given_nm is not None:
        notes = [
            f"pixel size {given_nm:g} nm as given; {other.source} says {other.value:g} nm"
            for other in said
            if not _agree(given_nm, other.value)
        ]
        if said and all(abs(given_nm / other.value - 1) > FAR for other in said):
            by_files = ", ".join(f"{other.value:g} nm ({other.source})" for other in said)
            notes = [
                f"pixel size {given_nm:g} nm as given, but {by_files}: every length here, the "
                f"diameter too, is {given_nm / said[0].value:.3g} times that by the file; check "
                "--pixel-nm"
            ]
        return ChosenPixel(given_nm, "given", notes=tuple(notes))
    if not said:
        return (
            _only_the_default()
            if unknown_in_header
            else ChosenPixel(
                None, refusal="no pixel size in the file; give it in nm with --pixel-nm"
            )
        )
    first, notes, odd = said[0], [], []
    for other in said[1:]:
        if _agree(first.value, other.value):
            continue
        if _agree(first.value, ANGSTROM_PER_NM * other.value):
            notes.append(
                f"{other.source} holds the pixel size in nm where angstrom belong; "
                f"{first.value:g} nm is used, as {first.source} says"
            )
        else:
            odd.append(other)
    if odd:
        return ChosenPixel(
            None,
            notes=tuple(notes),
            refusal=(
                f"pixel size {first.value:g} nm by {first.source}, but {odd[0].value:g} nm by "
                f"{odd[0].source}; say which is right with --pixel-nm"
            ),
        )
    agreed = any(_agree(first.value, other.value) for other in said[1:])
    doubts = [] if agreed else _doubts(first)
    return ChosenPixel(first.value, first.source, notes=tuple(notes), doubts=tuple(doubts))


@dataclass(frozen=True)
class MdocPixel:
    """Pixel size in an mdoc, for images of the stack's size; none if it has none."""

    said: tuple[SaidValue, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def pixel_of_mdoc(
    mdoc: Mdoc, source: str, size: tuple[int, int], others: Sequence[SaidValue]
) -> MdocPixel:
    """Return the pixel size in an mdoc, which may describe images before they were made smaller.

    They were binned if both sides shrank by the same whole number, unless another source has the
    mdoc's pixel size: then they were cropped. If no other source tells, the binning is a doubt.

    Parameters
    ----------
    size
        Columns and rows of the stack.
    others
        Pixel sizes of other sources.
    """
    recorded = [section.pixel_nm for section in mdoc.sections if section.pixel_nm]
    pixel_nm = next(iter(recorded), mdoc.header.pixel_nm)
    if not pixel_nm:
        return MdocPixel()
    notes: tuple[str, ...] = ()
    if len({round(value, 6) for value in recorded}) > 1:
        notes = (f"{source}: the pixel size differs from image to image; the first is used",)
    columns, rows = mdoc.header.image_size
    if (columns, rows) in ((0, 0), size):
        return MdocPixel((SaidValue(source, pixel_nm),), notes)
    sizes = f"{source} describes {columns} x {rows} pixels, the stack has {size[0]} x {size[1]}"
    binning = round(columns / size[0])
    shrunk = all(
        abs(before / after - binning) <= AGREE * binning
        for before, after in zip((columns, rows), size, strict=True)
    )
    if not shrunk or binning < 2 or any(_agree(pixel_nm, other.value) for other in others):
        return MdocPixel((SaidValue(source, pixel_nm),), (*notes, f"{sizes}: cropped"))
    binned_nm = pixel_nm * binning
    said = SaidValue(f"{source} times the binning", binned_nm)
    line = f"{sizes}: binned by {binning} after recording, pixel {binned_nm:g} nm"
    if others:
        return MdocPixel((said,), (*notes, line))
    doubt = f"{line}; if it was cropped, the pixel is {pixel_nm:g} nm: confirm with --pixel-nm"
    return MdocPixel((said,), notes, (doubt,))


def _only_the_default() -> ChosenPixel:
    return ChosenPixel(
        DEFAULT_PIXEL_NM,
        "1.000 angstrom in the header, which stands for unknown",
        assumed=True,
        doubts=(
            "the pixel size is not known: 1.000 angstrom is what programs write that do not know "
            "it; give the size with --pixel-nm",
        ),
    )


def _doubts(said: SaidValue) -> list[str]:
    low, high = PLAUSIBLE_NM
    if said.value < low:
        return [
            f"pixel size {said.value:g} nm by {said.source} is rare for particles; if nm were "
            f"taken for angstrom it is {ANGSTROM_PER_NM * said.value:g} nm; confirm with --pixel-nm"
        ]
    if said.value > high:
        return [
            f"pixel size {said.value:g} nm by {said.source} is rare for particles; confirm it "
            "with --pixel-nm"
        ]
    return []


def _agree(one: float, other: float) -> bool:
    return abs(one - other) <= AGREE * max(one, other)
