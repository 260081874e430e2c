"""Rehearsals on a simulated microscope: faults, wrong flips, demo operator, accuracy checks."""
