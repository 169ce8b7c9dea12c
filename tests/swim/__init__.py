"""Tests of txconsul.swim."""
