"""Particles, their diameter, and how sure a count is."""
