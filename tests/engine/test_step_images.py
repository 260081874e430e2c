"""Images shown by steps that record no series."""

from __future__ import annotations

from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.model.events import Alerted, PreviewReady, PromptOpened
from tests.support.small_session import Run, open_session


def test_shower_and_flip_show_their_images(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    assert run.go() is ExitCode.OK
    captions = [
        event.caption if isinstance(event, PreviewReady) else event.prompt.id
        for event in run.events
        if isinstance(event, PromptOpened)
        or (isinstance(event, PreviewReady) and event.view == "frame")
    ]
    assert captions[0].startswith("shower ")
    # the frame of series A nearest to 0 degrees, which B must mirror
    assert captions[captions.index("flip") - 1].endswith("+0.0°")
    assert [e.caption for e in run.of(PreviewReady) if e.view == "check-B"] == ["B at 0°, now"]


def test_an_image_that_cannot_be_written_does_not_stop_the_session(tmp_path: Path) -> None:
    session = open_session(tmp_path / "s")
    previews = session.folder.previews
    if previews.exists():
        previews.rmdir()
    previews.write_text("in the way")
    run = Run(session)
    assert run.go() is ExitCode.OK
    told = [event.text for event in run.of(Alerted) if ": not shown" in event.text]
    assert told
