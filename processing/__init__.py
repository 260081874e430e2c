"""Arrays in, arrays and typed tables out: usable from a notebook with no microscope anywhere."""
