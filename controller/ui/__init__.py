"""The session for people: the Textual screen, and plain text without one."""
