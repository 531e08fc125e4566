"""The edge agent, wired together and kept running."""
