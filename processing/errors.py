"""Errors whose text is meant for the operator: one line, what is wrong, where, what to do."""

from __future__ import annotations


class ProcessingError(Exception):
    """Processing cannot go on; the message is one line for the operator."""


class InputFileError(ProcessingError):
    """A file is missing, damaged or inconsistent with its companions."""
