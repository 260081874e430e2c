"""Adapters for real columns."""
