"""Stage: move to a tilt, expose while tilting, wait until drift has ended."""
