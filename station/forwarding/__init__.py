"""Rules that pass on what arrives: each object once, and none lost."""
