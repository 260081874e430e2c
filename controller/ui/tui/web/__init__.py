"""The read-only screen in a browser; needs the extra `web`."""
