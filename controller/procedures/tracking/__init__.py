"""Tracking: locate the object, predict its position, keep it at the image centre."""
