"""Checks: one provider a kind, and what repeats them."""
