"""Theme of the screen."""

from __future__ import annotations

from textual.theme import Theme

MICROSCOPE_ROOM = Theme(
    name="microscope-room",
    primary="#7fb2d9",
    secondary="#5b7c99",
    accent="#e3a857",
    foreground="#d5dae0",
    background="#0d1014",
    surface="#171c22",
    panel="#222932",
    success="#8cbf88",
    warning="#e3a857",
    error="#e0705f",
    dark=True,
)
"""Dark theme for a dark room."""
