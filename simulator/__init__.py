"""A digital twin: specimen, optics, stage, detector, mistakes, microscope; scoring, the truth."""
