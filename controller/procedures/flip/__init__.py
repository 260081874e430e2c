"""The flip between series A and B: maps, prompts, and the check that the grid was flipped."""
