"""Serf: the gossip protocol's layer of names, events and network coordinates. Pure: no I/O, no clock, no chance."""
