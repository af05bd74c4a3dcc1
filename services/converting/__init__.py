"""How a data set gets into another transfer syntax. The door is `services.conversion`."""
