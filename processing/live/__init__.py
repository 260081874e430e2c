"""Processing of a series while it is recorded: live volume, frame checks and live counts."""
