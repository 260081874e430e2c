"""report.html from protocol, journal and results."""
