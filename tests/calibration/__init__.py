"""Calibration of confidences, and intervals of counts, on simulated series."""
