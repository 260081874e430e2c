"""The experiments of the paper, repeated on the simulator."""
