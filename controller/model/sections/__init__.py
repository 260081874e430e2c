"""Sections of a protocol: settings, their defaults, and the checks within each section."""
