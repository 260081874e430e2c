"""The read-only page of a session in a browser; needs the extra `web`."""
