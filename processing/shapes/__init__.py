"""Particles that are no spheres: bodies of small balls, found in volumes and fitted to images."""
