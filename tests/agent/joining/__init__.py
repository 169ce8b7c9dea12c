"""Tests of L{txconsul.agent.joining}."""
