"""What is counted and measured, from the instruments in the hot paths to what monitoring reads."""
