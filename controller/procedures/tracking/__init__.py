"""Tracking: locate the object, predict its position, keep it in the centre of the image."""
