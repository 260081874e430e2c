"""The read-only screen in a browser; the extra `web` brings what it needs."""
