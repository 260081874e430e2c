"""One session on disk: folder, journal, recorder."""
