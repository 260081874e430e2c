"""Alignment of a tilt series: image shifts, tilt axis and rejected images."""
