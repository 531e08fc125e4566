"""The life of every part: what it is made of, what was done to it, and under which conditions."""
