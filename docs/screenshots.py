"""Take the screenshots of the README from a scripted session: `python -m docs.screenshots`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.model.base import SeriesName
from controller.model.events import Event, PreviewReady
from controller.service.previews import reduce_picture
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status
from controller.ui.tui.screen_messages import PictureArrived, RecordsArrived, StatusArrived, View
from controller.ui.tui.session_app import SessionApp
from controller.ui.tui.session_follower import REDUCED_SIDE_PX
from docs.pictures import SCAN, pictures
from tests.support import scripted_session as script

FOLDER = Path("/data/au-assembly")
"""Session folder shown in the screenshots; nothing is written there."""


@dataclass(frozen=True)
class Shot:
    """Screenshot: events of the session so far, size of the terminal, keys pressed."""

    name: str
    size: tuple[int, int]
    parts: tuple[str, ...]
    keys: tuple[str, ...] = ()


UPTO_A41 = ("preflight", "shower", "A41")
UPTO_FLIP = ("preflight", "shower", "A", "done-A", "flip")
SHOTS = (
    Shot("series", (110, 32), UPTO_A41),
    Shot("series-80x24", (80, 24), UPTO_A41),
    Shot("flip", (110, 32), UPTO_FLIP),
    Shot("flip-refused", (80, 24), (*UPTO_FLIP, "refused")),
    Shot("report", (110, 32), ("whole",)),
)


def events_of(part: str) -> Iterator[Event]:
    """Yield the events of one part of the script."""
    series: dict[str, tuple[SeriesName, int | None]] = {
        "A": ("A", None),
        "B": ("B", None),
        "A41": ("A", 41),
    }
    match part:
        case "preflight":
            yield script.started(FOLDER)
            yield from script.preflight()
        case "shower":
            yield from script.shower()
        case "A" | "B" | "A41":
            yield from script.series(*series[part])
        case "done-A":
            yield from script.reconstructed("A")
        case "flip":
            yield from script.flip()
        case "flipped":
            yield from script.flipped()
        case "refused":
            yield from script.flip_refused()
        case "fuse":
            yield from script.reconstructed("B")
            yield from script.fuse(0.6)
        case "whole":
            yield from script.whole(FOLDER)
        case _:
            raise ValueError(part)


def all_views() -> list[View]:
    """Return the pictures as the screen receives them."""
    return [
        View(name, caption, pixels, reduce_picture(pixels, REDUCED_SIDE_PX), SCAN.pixel_nm)
        for name, (pixels, caption) in pictures().items()
    ]


async def take(shot: Shot, views: list[View]) -> str:
    """Return the screenshot as SVG."""
    events = [event for part in shot.parts for event in events_of(part)]
    shown = PreviewReady(view="frame", path="previews/frame.npy", pixel_nm=SCAN.pixel_nm)
    records = script.records(iter([*events[:1], shown, *events[1:]]))
    status = SessionStatus()
    for record in records:
        status = next_status(status, record)
    app = SessionApp(FOLDER, follow=False)
    async with app.run_test(size=shot.size) as pilot:
        app.post_message(RecordsArrived(records))
        app.post_message(StatusArrived(status))
        for view in views if status.series["A"].tilts else []:
            app.post_message(PictureArrived(view))
        await pilot.pause()
        for key in shot.keys:
            await pilot.press(key)
        await pilot.pause()
        return app.export_screenshot(title=f"dualtilt attach {FOLDER}")


def main() -> None:
    """Write the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "screenshots")
    parser.add_argument("--only", default="", help="take only screenshots whose name contains this")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    views = all_views()
    for shot in SHOTS:
        if args.only in shot.name:
            svg = asyncio.run(take(shot, views))
            (args.out / f"{shot.name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
