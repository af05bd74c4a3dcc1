"""Queries as people ask them, and their matches as people read them."""
