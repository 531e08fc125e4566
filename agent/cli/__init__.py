"""The command `lini`: words and calls, nothing else. Heavy parts are imported by who needs them."""
