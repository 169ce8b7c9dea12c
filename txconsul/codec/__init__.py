"""How records are written: JSON, HashiCorp's msgpack, Go's durations (layer 0)."""
