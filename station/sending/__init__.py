"""Files on their way to a peer, and what became of each."""
