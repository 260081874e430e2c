"""Projector, SIRT, filtered backprojection, sparse sphere reconstruction."""
