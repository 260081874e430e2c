"""The parts of the report: each takes the facts and gives HTML, or nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from controller.events import Alerted, Level, PromptAnswered, Record, State
from controller.report.facts import Facts, Json
from controller.report.html import MISSING, details, number, section, table, text
from controller.report.panels import slices
from controller.report.plots import against_tilt, counts_as_they_came
from controller.service.status import Verdict
from controller.service.verdict import judge

TONES = {Verdict.GOOD: "good", Verdict.STOP_AT_END: "warn", Verdict.STOP_NOW: "bad"}
NAMES = {
    "A": "series A alone",
    "B": "series B alone",
    "mean": "mean of A and B",
    "fused": "A and B fused",
}
OPENED_BY = {
    ".mrc": "IMOD, Fiji, ChimeraX, Dragonfly, HyperSpy",
    ".mdoc": "SerialEM, IMOD, any text editor",
    ".rawtlt": "IMOD, any text editor",
    ".csv": "any spreadsheet, pandas",
    ".xyz": "OVITO, ASE, VESTA",
    ".json": "any text editor",
    ".jsonl": "any text editor",
    ".toml": "any text editor; dualtilt plan, run",
}


def page_sections(facts: Facts) -> str:
    """Every part, in the order in which a reader asks."""
    parts: tuple[Callable[[Facts], str], ...] = (
        _counts,
        _accuracy,
        _slices,
        _recording,
        _curves,
        _flip,
        _series,
        _events,
        _settings,
        _files,
    )
    return "".join(part(facts) for part in parts)


def heading(facts: Facts) -> str:
    """Title, what it is of, and the verdict."""
    protocol = facts.protocol
    name = facts.status.name or (protocol.name if protocol else facts.folder.resolve().name)
    specimen = protocol.specimen if protocol else ""
    when = facts.records[0].at[:16].replace("T", " ") if facts.records else ""
    told = [text(part) for part in (specimen, facts.status.microscope, when) if part]
    if facts.status.simulated:
        told.append('<span class="tag">simulated</span>')
    tone, word, reason = _verdict(facts)
    return (
        f"<header><h1>{text(name)}</h1><p class='sub'>{' · '.join(told)}</p>"
        f'<div class="verdict {tone}"><strong>{text(word)}</strong>{text(reason)}</div></header>'
    )


def _verdict(facts: Facts) -> tuple[str, str, str]:
    counts = facts.summary.get("counts", {})
    if not facts.records:
        return "good", "PROCESSED", _finding(counts)
    judgement = judge(facts.status)
    if judgement.verdict is Verdict.GOOD:
        if counts.get("fused"):
            return "good", "GOOD", _finding(counts)
        return "warn", "INCOMPLETE", _how_far(facts)
    return TONES[judgement.verdict], judgement.verdict.value, judgement.reason


def _finding(counts: Json) -> str:
    best = counts.get("fused") or counts.get("A") or {}
    if not best:
        return "no particles have been counted"
    where = "the fused volume" if counts.get("fused") else "one series"
    return (
        f"{number(best['n'])} particles in {where} "
        f"(95 % interval {number(best['n_low'])} to {number(best['n_high'])})"
    )


def _how_far(facts: Facts) -> str:
    status = facts.status
    recorded = ", ".join(
        f"{len(series.tilts)} of {series.planned} tilts of {name}"
        for name, series in status.series.items()
        if series.planned
    )
    ended = {State.STOPPED: "stopped", State.FAILED: "failed"}.get(status.state, "")
    told = [part for part in (ended, recorded, status.reason) if part]
    return "; ".join(told) or "nothing was recorded"


def _counts(facts: Facts) -> str:
    tiles = "".join(_tile(name, facts) for name in ("A", "B", "fused"))
    diameter = facts.summary.get("diameter_nm") or {}
    lead = ""
    if diameter:
        spacing = diameter.get("from_pair_distance")
        lead = f"Sphere diameter {number(diameter['value'], '.2f', 'nm')}, {diameter['source']}"
        lead += f"; neighbours {number(spacing, '.2f', 'nm')} apart." if spacing else "."
    return section("Particles", f'<div class="tiles">{tiles}</div>' if tiles else "", lead=lead)


def _tile(name: str, facts: Facts) -> str:
    count = (facts.summary.get("counts") or {}).get(name)
    note = ""
    if not count:
        live = facts.status.counts.get(name)  # type: ignore[call-overload]
        if live is None:
            return ""
        count, note = live.latest.model_dump(), "live count, not final"
    interval = f"{number(count['n_low'])} – {number(count['n_high'])}"
    return (
        f'<div class="tile of-{name}"><span class="what">{NAMES[name]}</span>'
        f"<b>{number(count['n'])}</b><span>95 % interval {interval}</span>"
        f"{f'<span>{note}</span>' if note else ''}</div>"
    )


def _accuracy(facts: Facts) -> str:
    tables: dict[str, Json] = facts.accuracy.get("tables") or {}
    rows = [_accuracy_row(name, tables[name]) for name in NAMES if name in tables]
    failures = [
        f"<p class='note'>{text(NAMES[name])}: {text(score['failure'])}.</p>"
        for name, score in tables.items()
        if name in NAMES and score.get("failure")
    ]
    head = (
        "volume",
        "found",
        "recall",
        "precision",
        "F1",
        "rms x / y / z, nm",
        "recall by depth third<br>bottom / middle / top",
    )
    lead = (
        f"The simulated specimen holds {number(facts.accuracy.get('n_truth'))} particles. Found "
        f"ones match one to one within {number(facts.accuracy.get('tolerance_nm'), '.2f', 'nm')} "
        "after one rigid fit. The bottom is the exit side of A, the top that of B."
    )
    return section("Accuracy against the simulated truth", table(head, rows), *failures, lead=lead)


def _accuracy_row(name: str, score: Json) -> list[str]:
    def values(key: str, form: str) -> str:
        listed = score.get(key)
        return " / ".join(number(v, form) for v in listed) if listed else MISSING

    return [
        text(NAMES.get(name, name)),
        number(score.get("found")),
        number(score.get("recall"), ".4f"),
        number(score.get("precision"), ".4f"),
        number(score.get("f1"), ".4f"),
        values("rms_nm", ".2f"),
        values("recall_by_depth", ".3f"),
    ]


def _slices(facts: Facts) -> str:
    return section("The reconstructions", slices(facts))


def _curves(facts: Facts) -> str:
    return section("Against the tilt", against_tilt(facts), counts_as_they_came(facts))


def _flip(facts: Facts) -> str:
    return section("Flip and registration", _flip_check(facts), _registration(facts))


def _flip_check(facts: Facts) -> str:
    check = facts.status.flip_check
    if check is None:
        return ""
    bars = "".join(
        f'<div class="bar" style="--tone: var(--{tone})"><span>{name}</span>'
        f'<i style="width: {100 * max(score, 0):.0f}%"></i>'
        f"<span>{number(score, '.3f')}</span></div>"
        for name, score, tone in (
            ("flipped", check.flipped_score, "fused"),
            ("same side up", check.same_side_score, "quiet"),
        )
    )
    verdict = "accepted" if check.accepted else "not accepted"
    return (
        f"<h3>B’s first image against A’s</h3>{bars}"
        f"<p>{text(check.found)}: {verdict}. In the plane, the grid came back turned by "
        f"{number(check.in_plane_deg, '+.1f')}°.</p>"
    )


def _registration(facts: Facts) -> str:
    found = facts.summary.get("registration")
    if not found:
        return ""
    rows = [
        ("turned in the plane", number(found.get("in_plane_deg"), "+.2f", "°")),
        ("seat tilt", number(found.get("seat_tilt_deg"), ".2f", "°")),
        ("shift x, y, z", ", ".join(number(v, "+.2f") for v in found["shift_nm"]) + " nm"),
        ("size of A over B", number(found.get("scale"), ".4f")),
        ("score", number(found.get("score"), ".3f")),
        ("runner-up", number(found.get("runner_up"), ".3f")),
        ("matched centres apart, rms", number(found.get("rms_nm"), ".2f", "nm")),
        (
            "matrix",
            "<br>".join(" ".join(number(v, "+.4f") for v in row) for row in found["matrix"]),
        ),
    ]
    return "<h3>B onto A: p<sub>A</sub> = matrix · p<sub>B</sub> + shift</h3>" + table(
        ("", ""), rows, "words facts"
    )


def _recording(facts: Facts) -> str:
    status = facts.status
    rows = [
        [
            f"series {name}",
            f"{len(series.tilts)} of {series.planned}",
            number(sum(tilt.retakes for tilt in series.tilts)),
            number(sum(tilt.verdict != "ok" for tilt in series.tilts)),
        ]
        for name, series in status.series.items()
        if series.tilts
    ]
    budget = number(status.dose_budget_e_per_A2, ",.0f", "e/Å²")
    lead = f"Dose in all {number(status.dose_e_per_A2)} of {budget}." if rows else ""
    head = ("", "tilts recorded", "retaken", "found wanting")
    return section("Recording", table(head, rows), lead=lead)


def _series(facts: Facts) -> str:
    rows = []
    for name, series in (facts.summary.get("series") or {}).items():
        rows.append(
            [
                f"series {text(name)}",
                number(series["tilts"]),
                ", ".join(str(index) for index in series["excluded"]) or "none",
                number(series["align_rms_px"], ".3f"),
                number(series.get("tilt_axis_deg"), "+.2f", "°"),
            ]
        )
    fusion = facts.summary.get("fusion")
    note = (
        f"<p class='note'>Fused by the rule “{text(fusion['rule'])}”, {text(fusion['wavelet'])} "
        f"wavelet, {fusion['level']} levels.</p>"
        if fusion
        else ""
    )
    head = ("", "images used", "left out", "alignment rms, px", "tilt axis")
    return section("Alignment and fusion", table(head, rows), note)


def _events(facts: Facts) -> str:
    warnings = [*map(str, facts.summary.get("warnings") or [])]
    warnings += [f"processing {f.job}: {f.reason}" for f in facts.status.failures]
    answers = [
        (
            _clock(record),
            text(event.prompt_id),
            text(event.value),
            text(event.reason) or MISSING,
            text(event.by),
        )
        for record in facts.records
        if isinstance(event := record.event, PromptAnswered)
    ]
    alerts = [
        (_clock(record), text(event.level.value), text(event.where) or MISSING, text(event.text))
        for record in facts.records
        if isinstance(event := record.event, Alerted) and event.level is not Level.INFO
    ]
    listed = "".join(f"<li>{text(warning)}</li>" for warning in dict.fromkeys(warnings))
    return section(
        "Warnings, answers and overrides",
        f"<ul>{listed}</ul>" if listed else "",
        table(("time", "question", "answer", "reason given", "by"), answers, "words"),
        table(("time", "level", "where", "alert"), alerts, "words"),
    ) or section("Warnings, answers and overrides", "<p>None.</p>")


def _clock(record: Record) -> str:
    return text(record.at[11:19])


def _settings(facts: Facts) -> str:
    if facts.protocol is None:
        return ""
    given = _given(facts)
    rows = [
        (text(name), f"<code>{text(value)}</code>", "protocol" if name in given else "default")
        for name, value in _leaves(facts.protocol)
    ]
    scan = facts.protocol.scan
    short = (
        f"{scan.width_px} × {scan.height_px} px of {scan.pixel_nm:g} nm, {scan.dwell_us:g} µs; "
        f"A {_span(facts.protocol.series_a.tilts_deg)}, "
        f"B {_span(facts.protocol.series_b.tilts_deg)}; "
        f"{facts.protocol.series_a.current_pA:g} pA at {facts.protocol.column.voltage_kV:g} kV."
    )
    listing = details("every setting", table(("setting", "value", "from"), rows, "words"))
    return section("Settings", f"<p>{text(short)}</p>", listing)


def _span(tilts_deg: tuple[float, ...]) -> str:
    return f"{tilts_deg[0]:+g}° to {tilts_deg[-1]:+g}° in {len(tilts_deg)} tilts".replace("-", "−")


def _given(facts: Facts) -> set[str]:
    content = tomllib.loads((facts.folder / "protocol.toml").read_text(encoding="utf-8"))
    return set(_dotted(content))


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _leaves(model: BaseModel, prefix: str = "") -> Iterable[tuple[str, object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _files(facts: Facts) -> str:
    rows = [
        (
            f'<span class="path">{text(path.relative_to(facts.folder).as_posix())}</span>',
            _size(path.stat().st_size),
            OPENED_BY[path.suffix],
        )
        for folder in (facts.folder, facts.processed)
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix in OPENED_BY
    ]
    where = f'All in <span class="path">{text(facts.folder.resolve())}</span>'
    return section("Files", table(("file", "size", "opened by"), rows, "words"), lead=where)


def _size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"
