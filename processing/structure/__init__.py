"""Structure of an assembly from the places of its particles: order, grains, faults, layers."""
