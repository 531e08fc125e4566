"""Whether a database holds what was made: its records against the ledger beside them."""
