"""The agent's own counter on this machine: commands ask it over a Unix socket, line by line."""
