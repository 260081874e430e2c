"""Rehearsals on a simulated microscope: faults, mistakes at the flip, demo operator, score."""
