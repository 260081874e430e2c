"""Readers and writers of MRC, mdoc, rawtlt and particle tables, one module a format."""
