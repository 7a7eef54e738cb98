"""A simulated Factorial company."""
