"""The DNS edge."""
