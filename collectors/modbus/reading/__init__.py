"""One device: its poll groups as samples, its finished parts as records."""
