"""Particles, their diameter, and the count with its interval."""
