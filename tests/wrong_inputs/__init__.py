"""Wrong and odd input: how often a count is trusted that must not be."""
