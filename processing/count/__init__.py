"""Particles, their diameter, and counts with intervals."""
