"""What an agent keeps of the answers that servers gave: a core without I/O, clock or chance of its own."""
