"""Privacy by class: which fields leave the tap as they are, as keyed hashes, or not at all."""
