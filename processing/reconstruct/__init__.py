"""Projector, SIRT, filtered back-projection and sparse sphere reconstruction."""
