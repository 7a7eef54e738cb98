"""Many companies' Factorial into one PostgreSQL, on Dagster."""
