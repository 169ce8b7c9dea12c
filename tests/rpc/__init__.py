"""The server port, without other programs; those are in tests/real."""
