"""Little languages: configuration and filters (layer 0)."""
