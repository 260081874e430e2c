"""Section on the structure of the assembly: shares, grains, faults, layers, g(r) and S(q)."""

from __future__ import annotations

from controller.report.html import at_least_zero, details, number, section, table, text
from controller.report.intervals import share_interval
from controller.report.report_data import Json, ReportData
from controller.report.structure_plots import correlation_plots, layer_plot

PLURALS = {
    "twin plane": "twin planes",
    "intrinsic stacking fault": "intrinsic stacking faults",
    "extrinsic stacking fault": "extrinsic stacking faults",
    "hcp": "slabs of hcp",
}
SHOWN = 12
"""Largest number of grains, boundaries or planes in a table; summary.json holds all."""


def structure(data: ReportData) -> str:
    """Return the structure of the assembly; empty if it was not analysed."""
    found: Json = data.summary.get("structure") or {}
    if not found:
        return ""
    notes = "".join(f"<p class='note'>{text(note)}.</p>" for note in found.get("notes") or ())
    return section(
        "Structure",
        notes,
        _shares(found),
        _facts(found),
        _numbers(found),
        _grains(found),
        _boundaries(found),
        _planes(found),
        correlation_plots(data),
        details("Layers from the surface", layer_plot(data) + _layers(found)),
        lead=_lead(found),
    )


def _lead(found: Json) -> str:
    positions = (
        f" Errors follow from that of one coordinate, "
        f"{number(found['position_error_nm'], '.2f', 'nm')} "
        f"({text(found['position_error_source'])})."
    )
    closed = found["particles"] - found["surface"]
    left_out = found["left_out"]
    false = f"; {number(left_out)} more left out: they overlap three others or more"
    again = (
        " <i>Found again</i>: share of repeats of the analysis, with these errors added once more, "
        "that show the same."
    )
    return (
        f"{number(found['particles'])} particles: {number(closed)} with a closed shell of "
        "neighbours, of which the shares are, and "
        f"{_with_error(found['surface'], found.get('surface_error'), '.0f')} at the surface"
        f"{false if left_out else ''}.{positions}"
        f"{again if found['grains'] or found['planes'] else ''}"
    )


def _measured(found: Json | None, form: str, unit: str = "") -> str:
    if not found:
        return number(None)
    return f"{number(found['value'], form)} ± {at_least_zero(found['error'], form, unit)}"


def _shares(found: Json) -> str:
    rows = [
        (text(name), *_percent(share["value"], share["error"]))
        for name, share in found["shares"].items()
        if share["value"] > 0
    ]
    return table(("local structure", "share", "95 % interval"), rows, "labels")


def _percent(share: float, error: float) -> tuple[str, str]:
    """Return a share and its interval, in per cent."""
    low, high = (number(100 * end, ".1f") for end in share_interval(share, error))
    return number(100 * share, ".1f", "%"), f"{low} to {high}"


def _with_error(value: float, error: float | None, form: str, unit: str = "") -> str:
    """Return a number with its error, which results of earlier versions lack."""
    if error is None:
        return number(value, form, unit)
    return _measured({"value": value, "error": error}, form, unit)


def _facts(found: Json) -> str:
    rows = [
        (
            "distance of neighbours, mean (“most often” above is the peak of all pairs)",
            _measured(found["neighbour_distance_nm"], ".3f", "nm"),
        ),
        (
            "its spread",
            _with_error(
                found["neighbour_spread_nm"], found.get("neighbour_spread_error_nm"), ".3f", "nm"
            ),
        ),
        ("neighbours of each particle", _measured(found["coordination"], ".2f")),
        ("packing fraction", _measured(found["packing_fraction"], ".3f")),
        ("lattice constant, fcc", _measured(found["lattice_constant_nm"], ".3f", "nm")),
        *(
            (
                f"{'mean ' if name.startswith('mean') else ''}{name[-2]}<sub>{name[-1]}</sub>",
                _measured(value, ".3f"),
            )
            for name, value in found["bond_order"].items()
        ),
    ]
    return table(("in the interior", ""), rows, "labels")


def _grains(found: Json) -> str:
    rows = [
        (
            number(grain["id"]),
            text(grain["structure"]),
            _with_error(grain["particles"], grain.get("particles_error"), ".0f"),
            _share(grain.get("found_again")),
            ", ".join(number(part, "+.4f") for part in grain["orientation"]),
            at_least_zero(grain["orientation_error_deg"], ".2f", "°"),
            _measured(grain["lattice_constant_nm"], ".3f", "nm"),
        )
        for grain in found["grains"][:SHOWN]
    ]
    head = (
        "grain",
        "structure",
        "particles",
        "found again",
        "orientation (w, x, y, z)",
        "± ",
        "lattice constant",
    )
    return table(head, rows) + _more(found["grains"], "grains")


def _numbers(found: Json) -> str:
    """Return the numbers of grains and of planes of each kind that occurs, if only in a repeat."""
    errors: Json = found.get("planes_error") or {}
    kinds = [plane["kind"] for plane in found["planes"]]
    shown = dict.fromkeys([*kinds, *(kind for kind, error in errors.items() if error > 0)])
    numbers = [
        f"grains: {_count(len(found['grains']), found.get('grains_error'))}",
        *(
            f"{PLURALS.get(kind, text(kind))}: {_count(kinds.count(kind), errors.get(kind))}"
            for kind in shown
        ),
    ]
    return f"<p>Number of {', '.join(numbers)}.</p>"


def _count(counted: int, error: float | None) -> str:
    """Return a number of objects, with its error if it changes in the repeats."""
    return f"{number(counted)} ± {number(error, '.1f')}" if error else number(counted)


def _share(found_again: float | None) -> str:
    return number(None if found_again is None else 100 * found_again, ".0f", "%")


def _boundaries(found: Json) -> str:
    rows = [
        (
            f"{edge['grains'][0]}, {edge['grains'][1]}",
            _with_error(
                edge["misorientation_deg"], edge.get("misorientation_error_deg"), ".2f", "°"
            ),
            ", ".join(number(part, "+.2f") for part in edge["axis"]),
            "twin" if edge["twin"] else "",
        )
        for edge in found["boundaries"][:SHOWN]
    ]
    head = ("grains that touch", "misorientation", "axis", "")
    return table(head, rows) + _more(found["boundaries"], "boundaries")


def _planes(found: Json) -> str:
    rows = [
        (
            text(plane["kind"]),
            _with_error(plane["particles"], plane.get("particles_error"), ".0f"),
            _share(plane.get("found_again")),
            ", ".join(number(part, "+.3f") for part in plane["normal"]),
            at_least_zero(plane.get("normal_error_deg"), ".2f", "°"),
            ", ".join(number(part, "+.1f") for part in plane["centre_nm"]),
        )
        for plane in found["planes"][:SHOWN]
    ]
    head = ("plane", "particles", "found again", "normal", "± ", "centre, nm")
    return table(head, rows) + _more(found["planes"], "planes")


def _more(listed: list[Json], what: str) -> str:
    more = len(listed) - SHOWN
    return f"<p class='note'>{more} smaller {what}: summary.json.</p>" if more > 0 else ""


def _layers(found: Json) -> str:
    rows = [
        (
            number(layer["number"]),
            _with_error(layer["particles"], layer.get("particles_error"), ".0f"),
            _with_error(layer["depth_nm"], layer.get("depth_error_nm"), ".1f"),
            _measured(layer["neighbour_distance_nm"], ".3f"),
            _with_error(
                layer["neighbour_spread_nm"], layer.get("neighbour_spread_error_nm"), ".3f"
            ),
            _with_error(layer["coordination"], layer.get("coordination_error"), ".2f"),
        )
        for layer in found["layers"]
    ]
    head = (
        "layer",
        "particles",
        "depth, nm",
        "distance of neighbours, nm",
        "spread, nm",
        "neighbours",
    )
    return table(head, rows)
