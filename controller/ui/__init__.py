"""User interfaces: the Textual screen, and plain text."""
