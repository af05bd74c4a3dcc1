"""The node book and the configuration file."""
