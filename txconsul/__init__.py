"""Consul, built anew in Python on Twisted."""

__version__ = "0.1.0"

#: The release of Consul whose clients, tools and bytes this program works with.
CONSUL_VERSION = "1.21.4"
