"""What is kept of answers, without clock or network."""
