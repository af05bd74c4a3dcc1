"""What C-MOVE and C-GET have in common: several responses, sub-operations, cancellation."""
