"""What people and CI run from the checkout; not part of the package."""
