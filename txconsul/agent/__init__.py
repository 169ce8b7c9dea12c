"""What runs: configuration, the agent, and the two ways to be one (layer 6)."""
