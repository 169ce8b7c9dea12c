`txconsul.net.memory` is a network without sockets: hosts on one wire whose packets are late, lost, doubled or cut off by a seed, on any Twisted clock.
