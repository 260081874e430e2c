"""A digital twin: specimen, optics, stage, detector, mistakes, microscope, and the scoring that alone knows the truth."""
