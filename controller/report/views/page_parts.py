"""Parts of the page that show the views: the figure, and the scripts at the page's end."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from controller.report.html import figure
from controller.report.report_data import ReportData
from controller.report.views.library import k3d_source
from controller.report.views.scene import as_json, scene

CAPTION = (
    "Drag to turn, wheel or pinch to zoom after a click, right button to shift. Nanometres, in the "
    "coordinates of A: z (blue) along the beam at 0°, y (green) along the tilt axis of A."
)
DEFINE = "window.define = (name, needs, make) => { window[name] = make(); };"
"""Takes the place of a module loader: K3D defines one module without needs."""


@dataclass(frozen=True)
class Views:
    """Figure and scripts of the views; all empty if there is nothing to show."""

    figure: str = ""
    scripts: str = ""
    policy: str = "script-src 'none'"
    """Scripts that the page may run, for its content security policy."""


def views(data: ReportData) -> Views:
    """Return the views of a session; empty without particles or without K3D."""
    source, content = k3d_source(), scene(data)
    if source is None or content is None:
        return Views()
    program = files("controller.report.views").joinpath("views.js").read_text(encoding="utf-8")
    scripts = [DEFINE, _inside_script(source), program]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return Views(
        figure=_figure(),
        scripts=f'<script type="application/json" id="scene">{as_json(content)}</script>'
        + "".join(f"<script>{script}</script>" for script in scripts),
        policy=f"script-src {hashes}",
    )


def _figure() -> str:
    stage = (
        '<div id="views"><div class="view-tools"></div><div class="stage"></div>'
        '<div class="legend"></div><p class="view-words" aria-live="polite"></p></div>'
    )
    return figure(stage, CAPTION)


def _inside_script(source: str) -> str:
    """Return JavaScript that cannot end the script element that holds it."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
