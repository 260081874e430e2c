"""Helpers for every package: errors, exit codes, settings files, remote calls."""
