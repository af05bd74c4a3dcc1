"""What running processes tell of themselves: status, metrics, health."""
