"""The workstation on a terminal."""
