"""The `dualtilt` command: one module a verb."""
