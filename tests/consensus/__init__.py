"""Tests of the driver of Raft."""
