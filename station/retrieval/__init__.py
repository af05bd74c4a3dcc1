"""Studies brought here, counted against what was promised."""
