"""From the bytes of an answer to values, or to the reason why there is none."""
