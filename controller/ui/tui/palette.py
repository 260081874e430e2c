"""Commands of the screen by name, for the command palette."""

from __future__ import annotations

PALETTE = (
    ("Pause", "after the current step", "pause"),
    ("Go on", "after a pause", "go_on"),
    ("Answer the prompt", "open its dialog", "answer"),
    ("Stop…", "after this tilt, at the end of the series, or now", "stop"),
    ("Retake…", "record the last tilts again", "retake"),
    ("All tilts", "record them all, though the count is settled", "complete"),
    ("Next view", "frame, slices, fused, difference", "view"),
    ("Zoom", "one to one, or the whole picture", "zoom"),
    ("Contrast", "automatic, full range, or strong", "contrast"),
    ("Targets", "of the grid: states, counts, verdicts", "targets"),
    ("Stop after this target", "before the next one", "stop_after_target"),
    ("Go on after this target", "do not stop after it", "go_on_after_target"),
    ("Log", "every event, with a filter", "log"),
    ("Open report", "in a browser", "open_report"),
    ("Leave", "close the screen; the session continues", "detach"),
)
"""Commands by name: title, explanation, action."""
