"""What is stored, searched and sent: index, destinations, commitments, worklist."""
