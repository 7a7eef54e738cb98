"""A Singer tap for Factorial."""
