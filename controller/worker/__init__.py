"""The processing child and its supervisor."""
