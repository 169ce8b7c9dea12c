"""The watches of an agent's configuration, and the handlers that they run (layer 6)."""
