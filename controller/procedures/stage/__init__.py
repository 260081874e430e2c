"""Stage moves: to a tilt, to a place, until it has settled."""
