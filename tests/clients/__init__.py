"""Tests with clients that others wrote."""
