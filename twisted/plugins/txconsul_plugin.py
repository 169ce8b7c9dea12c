"""The line by which C{twist} finds us. Read at every run of twist, so it imports nothing of ours."""

from twisted.application.service import ServiceMaker

txconsul = ServiceMaker("txconsul", "txconsul.tap", "Run a txconsul agent.", "txconsul")
txconsul_gossip = ServiceMaker(
    "txconsul-gossip", "txconsul.gossip_tap", "Run a member of a gossip pool.", "txconsul-gossip"
)
