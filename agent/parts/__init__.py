"""Memory of earlier parts, and what they tell of later ones: self-discharge, repeats, cycles."""
