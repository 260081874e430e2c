"""The session as data: protocol, plan, steps, events, prompts. Imports nothing but `common`."""
