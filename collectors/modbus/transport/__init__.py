"""Frames and connections: a request goes out, and only its own answer comes back."""
