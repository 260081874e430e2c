"""Publish images for the screens."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from controller.model.base import SeriesName
from controller.model.events import Level
from controller.procedures.context import Context
from controller.session.previews import write_preview


def show(
    context: Context, step_id: str, view: str, pixels: NDArray[Any], pixel_nm: float, caption: str
) -> None:
    """Show an image [y, x] as the newest of a view; warn if it cannot be written."""
    try:
        with context.session.disk_calls.running():
            shown = write_preview(context.session.folder.path, view, pixels, caption, pixel_nm)
    except OSError as error:
        context.alert(Level.WARNING, f"{caption}: not shown: {error.strerror}", step_id)
        return
    context.publish(shown)


def show_untilted(context: Context, step_id: str, series: SeriesName) -> None:
    """Show the series' frame nearest to 0 degrees."""
    frames = context.session.ledger.usable(series)
    if frames:
        flattest = min(frames, key=lambda frame: abs(frame.nominal_deg))
        pixels = context.session.image(series, flattest.section)
        caption = f"{flattest.name} {flattest.nominal_deg:+.1f}°"
        show(context, step_id, "frame", pixels, context.protocol.scan.pixel_nm, caption)
