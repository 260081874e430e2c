"""Parts of the page that show the views: the figure, and the scripts at the page's end."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from controller.report.html import figure, text
from controller.report.report_data import PROCESSED, ReportData
from controller.report.slices import HEADINGS
from controller.report.views.assembly import Assembly, read_assembly, unreadable_tables
from controller.report.views.library import k3d_source
from controller.report.views.scene import as_json, scene
from controller.report.views.stills import as_data_uri, particle_panels

CAPTION = (
    "Drag to turn, wheel or pinch to zoom after a click, right button to shift. Nanometres, in the "
    "coordinates of A: z (blue) along the beam at 0°, y (green) along the tilt axis of A. The bar "
    "is the scale in the middle of the picture; what is nearer looks larger."
)
STILL_CAPTION = "Particles as counted, seen from the front."
COLOURS_CAPTION = (
    " Grey: in A and B. Blue: only in A. Orange: only in B. Green: only in both together."
)
DEFINE = "window.define = (name, needs, make) => { window.makeK3D = make; };"
"""Takes the place of a module loader: K3D defines one module without needs, made when needed."""
PROGRAM = ("scene_objects.js", "stages.js", "views.js")
"""Files of the views' own script, in the order in which they define names."""


@dataclass(frozen=True)
class Views:
    """Figure and scripts of the views; all empty if there is nothing to show."""

    figure: str = ""
    scripts: str = ""
    policy: str = "script-src 'none'"
    """Scripts that the page may run, for its content security policy."""


def views(data: ReportData) -> Views:
    """Return the views of a session; empty without particles, still pictures without K3D."""
    assembly, source = read_assembly(data), k3d_source()
    left_out = _left_out(unreadable_tables(data))
    if assembly is None:
        return Views(figure=left_out)
    if source is None:
        return Views(figure=_figure(assembly) + left_out)
    scripts = [DEFINE, _inside_script(source), _program()]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    content = as_json(scene(data, assembly))
    return Views(
        figure=_figure(assembly) + left_out,
        scripts=f'<script type="application/json" id="scene">{content}</script>'
        + "".join(f"<script>{script}</script>" for script in scripts),
        policy=f"script-src {hashes}",
    )


def _left_out(tables: list[str]) -> str:
    """Say which tables the views leave out; empty if there are none."""
    if not tables:
        return ""
    names = ", ".join(f"<code>{PROCESSED}/{text(name)}</code>" for name in tables)
    return (
        f'<p class="note">The views leave out {names}: this table has a cell that is no number, or '
        "lacks a column. Restore it from a copy, or process the series again.</p>"
    )


def _program() -> str:
    """Return the views' own script: its files share one scope that nothing else sees."""
    folder = files("controller.report.views")
    parts = [folder.joinpath(name).read_text(encoding="utf-8") for name in PROGRAM]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"


def _figure(assembly: Assembly) -> str:
    stage = (
        '<div id="views"><div class="view-tools"></div><div class="stage"></div>'
        '<div class="stages"></div>'
        '<div class="legend"></div><p class="view-words" aria-live="polite"></p>'
        f"{_stills(assembly)}</div>"
    )
    colours = COLOURS_CAPTION if any(assembly.seen_by.values()) else ""
    captions = (
        f'<span class="turning">{CAPTION}</span><span class="still">{STILL_CAPTION}{colours}</span>'
    )
    return figure(stage, captions)


def _stills(assembly: Assembly) -> str:
    heads = "".join(
        f'<div class="col of-{name}">{text(title)}</div>'
        for name, title in HEADINGS.items()
        if name in assembly.tables
    )
    picture = as_data_uri(particle_panels(assembly))
    return (
        f'<div class="stills" style="--columns: {len(assembly.tables)}"><div class="heads">{heads}'
        f'</div><img src="{picture}" alt="particles of each table"></div>'
    )


def _inside_script(source: str) -> str:
    """Return JavaScript that cannot end the script element that holds it."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
