"""The Textual screen, a client of the service."""
