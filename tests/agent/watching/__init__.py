"""The watches of a configuration."""
