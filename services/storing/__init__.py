"""How an object is kept: written, examined, made durable, placed under its name. The door is `services.storage`."""
