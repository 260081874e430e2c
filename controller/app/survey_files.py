"""Files of a survey: the assemblies, the list of targets, and a protocol that has it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from controller.app.profiles import simulator_profile
from controller.common.bounded_read import read_bounded
from controller.common.errors import UsageError
from controller.hardware.interface import Frame
from controller.model.protocol import Protocol
from controller.model.surveyed import Surveyed
from controller.report.survey_page import as_page, thumbnail
from processing.files.atomic import replace_text

ASSEMBLIES = "assemblies.json"
_ASSEMBLIES: TypeAdapter[tuple[Surveyed, ...]] = TypeAdapter(tuple[Surveyed, ...])
HEADER = """# Assemblies found by `dualtilt survey`. Those that were not chosen are comments.
# A protocol takes this list at its end.
"""


def targets_text(assemblies: Sequence[Surveyed], chosen: Collection[str]) -> str:
    """Return the list of targets as TOML; assemblies that are not chosen as comments."""
    return HEADER + "".join(
        f"\n{''.join(_lines(each, '' if each.name in chosen else '# '))}" for each in assemblies
    )


def _lines(each: Surveyed, lead: str) -> Iterator[str]:
    yield f"# {each.diameter_nm:.0f} nm, roundness {each.roundness:.2f}\n"
    yield from (f"# {fault}\n" for fault in each.faults)
    yield f"{lead}[[targets]]\n"
    yield f'{lead}name = "{each.name}"\n'
    yield f"{lead}x_nm = {each.target.x_nm}\n"
    yield f"{lead}y_nm = {each.target.y_nm}\n"
    if each.target.z_nm:
        yield f"{lead}z_nm = {each.target.z_nm}\n"


def without_targets(protocol_text: str) -> str:
    """Return a protocol without its own list of targets."""
    kept, in_targets = [], False
    for line in protocol_text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            in_targets = line.lstrip().startswith(("[[targets]]", "[targets."))
        if not in_targets:
            kept.append(line)
    return "".join(kept).rstrip() + "\n\n"


def write_targets(
    out: Path,
    protocol_path: Path,
    protocol: Protocol,
    assemblies: Sequence[Surveyed],
    chosen: Collection[str],
) -> Path:
    """Write targets.toml, and protocol.toml with the chosen targets; return the protocol's path."""
    targets = targets_text(assemblies, chosen)
    replace_text(out / "targets.toml", targets)
    if protocol.column.kind == "simulator" and out != protocol_path.parent:
        copy = simulator_profile(protocol, out / "protocol.toml")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(simulator_profile(protocol, protocol_path), copy)
    own = without_targets(read_bounded(protocol_path).decode())
    replace_text(out / "protocol.toml", own + targets)
    return out / "protocol.toml"


def write_assemblies(
    out: Path, assemblies: Sequence[Surveyed], frames: Sequence[Frame]
) -> list[bytes]:
    """Write assemblies.json and a thumbnail (PNG) of each assembly; return the thumbnails."""
    replace_text(out / ASSEMBLIES, _ASSEMBLIES.dump_json(tuple(assemblies), indent=1).decode())
    pictures = [thumbnail(frame.pixels) for frame in frames]
    for each, picture in zip(assemblies, pictures, strict=True):
        (out / f"{each.name}.png").write_bytes(picture)
    return pictures


def read_assemblies(survey: Path) -> tuple[tuple[Surveyed, ...], list[bytes]]:
    """Read the assemblies of an earlier survey and their thumbnails.

    Raises
    ------
    UsageError
        A file is missing or damaged.
    """
    try:
        assemblies = _ASSEMBLIES.validate_json(read_bounded(survey / ASSEMBLIES))
        return assemblies, [read_bounded(survey / f"{each.name}.png") for each in assemblies]
    except (OSError, ValidationError):
        raise UsageError(
            f"{survey}: is no folder of a survey, or {ASSEMBLIES} or a thumbnail is damaged; "
            "survey the grid again"
        ) from None


def write_page(
    out: Path,
    name: str,
    assemblies: Sequence[Surveyed],
    pictures: Sequence[bytes],
    chosen: Collection[str],
) -> Path:
    """Write survey.html, on which targets are ticked; return its path."""
    replace_text(out / "survey.html", as_page(name, out, assemblies, pictures, chosen))
    return out / "survey.html"


def parse_choice(
    answer: str, assemblies: Sequence[Surveyed], suggested: Sequence[str]
) -> tuple[str, ...]:
    """Return the chosen names: `suggested`, `all`, `none`, or names with commas between.

    Raises
    ------
    UsageError
        A name is unknown.
    """
    names = [each.name for each in assemblies]
    words = {"": tuple(suggested), "suggested": tuple(suggested), "all": tuple(names), "none": ()}
    if answer.strip() in words:
        return words[answer.strip()]
    wanted = [word.strip() for word in answer.split(",") if word.strip()]
    if unknown := [word for word in wanted if word not in names]:
        raise UsageError(f"{unknown[0]}: no such assembly; the survey found {', '.join(names)}")
    return tuple(name for name in names if name in wanted)
