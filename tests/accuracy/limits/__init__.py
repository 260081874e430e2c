"""Limits of the count: tilt steps, doses and sizes at which one series, and both, go wrong."""
