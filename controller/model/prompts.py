"""Prompts to the operator: their ids and the answers that each accepts."""

from __future__ import annotations

STOP = "stop"
"""Answer to any prompt that ends the session."""
