"""The running session seen from outside: status model, server, client."""
