"""What processing says while a series is still being recorded."""
