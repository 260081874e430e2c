"""Alignment of a tilt series: shifts, tilt axis, rejected tilts."""
