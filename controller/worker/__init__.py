"""Processing in child processes, and the supervisor that starts them."""
