"""Series that end early, against the complete ones."""
