"""Programs: the `dualtilt` command, and the session process that connects all parts."""
