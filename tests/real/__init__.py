"""Tests of whole processes: started, loaded, signalled, killed, damaged."""
