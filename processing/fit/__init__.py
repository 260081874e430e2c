"""Fit of equal spheres to the images of one tilt series, or of both series at once."""
