"""Pictures of what arrived, made by a process of their own."""
