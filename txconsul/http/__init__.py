"""The HTTP API: an edge that translates into requests and back (layer 5)."""
