"""
SWIM as HashiCorp's memberlist speaks it: who is in the pool, and who has failed.

Pure: bytes and messages come in with the time, wishes are taken out. Sources: Das, Gupta and Motivala, "SWIM: Scalable
Weakly-consistent Infection-style Process Group Membership Protocol" (2002); Dadgar, Phillips and Currey, "Lifeguard:
Local Health Awareness for More Accurate Failure Detection" (2018); the bytes are those of the wire documents.
"""
