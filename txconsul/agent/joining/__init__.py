"""Whom an agent joins: from what users write to members of a pool."""
