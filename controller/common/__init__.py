"""Helpers that any part may use: errors, exit codes, settings files, remote calls."""
