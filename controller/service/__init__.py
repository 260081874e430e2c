"""The service of a running session: status, event log, server and client."""
