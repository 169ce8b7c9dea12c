"""
The server port: one connection between two agents, many calls on it.

L{yamux} and L{call} are pure; the rest drives them over an L{INetwork<txconsul.interfaces.INetwork>}.
"""
