"""
Watches: what to ask again and again, what of the answers is a change, and how it is told (layer 1, pure).

The command C{txconsul watch} and the agent drive the same two classes: a L{plan.Plan} says what is watched, a
L{progress.Progress} which question comes next and whether the last answer is worth telling.
"""
