"""MRC, mdoc, rawtlt and particle tables: reading and writing, the one place for each format."""
