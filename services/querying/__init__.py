"""Identifiers, the information models, and attribute matching: PS3.4 C.2 and C.6, PS3.5."""
