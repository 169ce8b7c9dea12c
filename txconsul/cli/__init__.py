"""The command line, speaking to agents by HTTP only (layer 6)."""
