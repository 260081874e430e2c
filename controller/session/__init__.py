"""A session on disk: its folder, its durable journal, its raw frames."""
