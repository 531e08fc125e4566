"""What the line is doing, made of samples and records. Pure: time and values in, points out."""
