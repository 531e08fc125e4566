"""The whole of Lini on one machine: simulated line, broker, agent, sink, database and page."""
