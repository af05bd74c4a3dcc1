"""The transfer queue: jobs that are sent and retrieved in the background."""
