"""What is said: declarations of every record, without behaviour (layer 0)."""
