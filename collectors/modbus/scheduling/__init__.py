"""One bus: what is polled when, whether its time suffices, how well it goes."""
