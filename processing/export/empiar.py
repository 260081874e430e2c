"""The raw tilt series of a session, prepared for EMPIAR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from processing.errors import InputFileError
from processing.export.about import About, Person
from processing.export.finished import Finished
from processing.export.raw_series import RawSeries, raw_series
from processing.files.empiar import ImageSet, write_empiar
from processing.progress import Progress


def export_empiar(finished: Finished, path: Path, progress: Progress) -> None:
    """Write the folder for EMPIAR.

    Raises
    ------
    InputFileError
        The raw images are not there any more.
    """
    series = raw_series(finished)
    sets = [_image_set(one) for one in series]
    write_empiar(path, sets, _form(finished.about), _readme(finished, series), progress=progress)


def missing_files(finished: Finished) -> list[str]:
    """Return one line for each raw file that EMPIAR expects and that is not there."""
    try:
        series = raw_series(finished)
    except InputFileError:
        return []
    lines = [f"series {one.name}: no mdoc beside {one.images}" for one in series if not one.mdoc]
    lines += [
        f"series {one.name}: no file of tilt angles (.rawtlt, .tlt) beside {one.images}"
        for one in series
        if not one.angles
    ]
    if finished.about.is_simulation:
        lines.append("recorded series: these are simulated")
    return lines


def _image_set(one: RawSeries) -> ImageSet:
    inputs = one.inputs
    angles = inputs.angles_deg or []
    dose = inputs.dose_e_per_A2
    parts = [
        f"HAADF-STEM tilt series {one.name}, {inputs.images} images"
        + (f" from {min(angles):+.1f} to {max(angles):+.1f} degrees" if angles else ""),
        f"total dose {dose:.4g} electrons per square angstrom" if dose is not None else "",
        "recorded after turning the specimen over" if one.name == "B" else "",
    ]
    return ImageSet(
        one.name,
        one.files,
        inputs.images,
        inputs.columns,
        inputs.rows,
        inputs.sample_type,
        inputs.pixel_nm,
        "; ".join(part for part in parts if part),
    )


def _form(about: About) -> dict[str, Any]:
    investigator = _person(about.principal_investigator)
    return {
        "title": about.title,
        "release_date": about.release,
        "cross_references": [],
        "sample": about.sample,
        "microscope": about.microscope,
        "authors": [{"name": name, "order_id": order} for order, name in enumerate(about.authors)],
        "corresponding_author": _person(about.corresponding_author),
        "principal_investigator": [investigator] if investigator else [],
        "citation": [{"title": about.title, "authors": about.authors, "doi": about.publication}],
    }


def _person(person: Person | None) -> dict[str, Any] | None:
    return person.model_dump() if person else None


def _readme(finished: Finished, series: list[RawSeries]) -> str:
    about = finished.about
    kind = "Simulated" if about.is_simulation else "Raw"
    facts = [
        about.title or "(title missing)",
        "",
        f"Sample: {about.sample or '(missing)'}",
        f"Microscope: {about.microscope or '(missing)'}",
        f"Prepared by {finished.facts['software']}",
        "",
        f"{kind} HAADF-STEM tilt series. Row 0 of an image is its lowest row.",
        "The mdoc gives tilt angle, dose, stage and time of each image. An image with",
        "Verdict = withdrawn was recorded again; the later one counts. An image with",
        "Excluded = 1 was left out of processing.",
        "",
    ]
    for one in series:
        facts.append(f"data/{one.name}:")
        facts += [f"    {file.name}" for file in one.files]
    return "\n".join(facts) + "\n"
