"""Results of the same object side by side: counts, verdicts, and the particles that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.errors import UsageError, path_error_text

if TYPE_CHECKING:
    from processing.combine.compare import Difference
    from processing.files.particles import ParticleTable
    from processing.results import Count, Summary

SUMMARY = "processed/summary.json"
"""Last file of complete results."""
DIFFERENCE_COLUMNS = ("result", "only_in", "x_nm", "y_nm", "z_nm", "diameter_nm", "confidence")


@dataclass(frozen=True, eq=False)
class Result:
    """Results of one folder.

    Attributes
    ----------
    name
        Path of the folder, as the user gave it.
    label
        Shortest name that tells the folder from the others.
    table
        Counted particles: those of both series, or of A if there is no B.
    settings
        Settings that it was made with, by their names in a protocol; empty if they were not kept.
    """

    name: str
    label: str
    summary: Summary
    table: ParticleTable
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def final(self) -> Count:
        """Count of both series, or of A."""
        return self.summary.counts.fused or self.summary.counts.A


@dataclass(frozen=True, eq=False)
class Comparison:
    """A result against the first one; `difference` is None if they show different objects."""

    result: Result
    difference: Difference | None


def folders_to_compare(given: Sequence[Path]) -> list[Path]:
    """Return the folders of the results; of a single folder all of its complete results.

    Of each of several folders, the newest results are taken that are not named themselves.

    Raises
    ------
    UsageError
        A folder is missing or given twice, or there is only one result.
    """
    for place, folder in enumerate(given):
        if not folder.is_dir():
            what = "is a file, not the folder of results" if folder.exists() else "no such folder"
            raise UsageError(f"{folder}: {what}")
        if any(_is_same(folder, earlier) for earlier in given[:place]):
            raise UsageError(f"{folder}: is given twice; name another result of the same object")
    if len(given) > 1:
        return [_newest(folder, given) for folder in given]
    folders = _complete(given[0])
    if len(folders) < 2:
        if not folders:
            raise UsageError(f"{given[0]}: holds no results; process the series first")
        raise UsageError(
            f"{given[0]}: holds one result; name a second folder, or process the session again "
            "with other settings: dualtilt process SESSION --drop A:12"
        )
    return folders


def _complete(folder: Path) -> list[Path]:
    """Return the complete results of a folder, in the order in which they were made."""
    first = [folder] if (folder / SUMMARY).exists() else []
    return [*first, *made_again(folder)]


def _newest(folder: Path, given: Sequence[Path]) -> Path:
    """Return the newest results of a folder, but none that are given themselves beside it."""
    others = [other for other in given if other is not folder]
    free = [
        results
        for results in _complete(folder)
        if not any(_is_same(results, other) for other in others)
    ]
    return free[-1] if free else folder


def _is_same(folder: Path, other: Path) -> bool:
    return folder.resolve() == other.resolve()


def made_again(session: Path) -> list[Path]:
    """Return the folders of a session's complete results that were made again, in their order."""
    return sorted(
        (path.parents[1] for path in session.glob(f"processed-*/{SUMMARY}")),
        key=lambda path: (len(path.name), path.name),
    )


def shortest_names(folders: Sequence[Path]) -> list[str]:
    """Return the last part of each path, or as many as tell it from the others."""
    paths = [folder.resolve().parts for folder in folders]

    def name(own: tuple[str, ...]) -> str:
        others = [path for path in paths if path != own]
        count = next(
            (n for n in range(1, len(own)) if all(path[-n:] != own[-n:] for path in others)),
            len(own),
        )
        return str(Path(*own[-count:]))

    return [name(path) for path in paths]


def read_result(folder: Path, label: str) -> Result:
    """Read summary and particles of a folder, which is shown by its label.

    Raises
    ------
    UsageError
        It holds no complete results.
    """
    from processing.errors import InputFileError
    from processing.files.particles import read_csv
    from processing.pipeline.results_folder import PROCESSED, read_summary

    try:
        summary = read_summary(folder)
        name = "fused" if summary.counts.fused else "A"
        table = read_csv(folder / PROCESSED / f"particles_{name}.csv")
        return Result(str(folder), label, summary, table.counted, _settings(folder))
    except (InputFileError, OSError) as error:
        raise UsageError(path_error_text(error, folder)) from error


def _settings(folder: Path) -> dict[str, object]:
    from processing.errors import InputFileError
    from processing.pipeline.results_folder import read_record

    try:
        made_with = read_record(folder, "A").made_with
    except InputFileError:  # of an earlier version, or removed
        return {}
    return {} if made_with is None else made_with.settings.model_dump(mode="json")


def other_settings(first: Result, other: Result) -> list[str]:
    """Return each setting with which a result was made otherwise than the first one."""
    if not (first.settings and other.settings):
        return []
    return [
        f"{name} {_shown(value)} ({first.label}: {_shown(first.settings.get(name))})"
        for name, value in other.settings.items()
        if value != first.settings.get(name)
    ]


def _shown(value: object) -> str:
    """Return the value of a setting for people."""
    match value:
        case None:
            return "not given"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(map(str, value))
    return str(value)


def compare(results: Sequence[Result]) -> list[Comparison]:
    """Compare the particles of every result but the first with those of the first."""
    from processing.combine.compare import compare_particles

    first = results[0]
    return [
        Comparison(
            other,
            compare_particles(
                first.table.centres_nm, other.table.centres_nm, first.summary.diameter_nm.value
            ),
        )
        for other in results[1:]
    ]


def difference_rows(first: Result, compared: Sequence[Comparison]) -> Iterator[tuple[str, ...]]:
    """Yield one row for each particle that only one of two results has, in the first's frame."""
    for one in compared:
        if one.difference is None:
            continue
        found = one.difference
        places = (
            (first, found.only_first, first.table.centres_nm),
            (one.result, found.only_second, found.second_nm),
        )
        for owner, only, centres_nm in places:
            for index in only:
                x, y, z = (f"{value:.3f}" for value in centres_nm[index])
                size = f"{owner.table.diameter_nm[index]:.3f}"
                confidence = f"{owner.table.confidence[index]:.4f}"
                yield one.result.name, owner.name, x, y, z, size, confidence
