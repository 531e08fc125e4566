"""The roles of Lini: the edge agent, the sink, the operator page and the command line."""
