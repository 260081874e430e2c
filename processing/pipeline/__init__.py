"""The whole pipeline: from tilt series to volumes, particle tables and counts."""
