"""The tap side by side with others: `make bench`. Not part of the package."""
