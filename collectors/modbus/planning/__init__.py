"""Which registers are read together, and what a device was found to refuse."""
