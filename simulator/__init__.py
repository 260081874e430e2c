"""Simulated microscope: specimen, optics, stage, detector, flip; scoring against the truth."""
