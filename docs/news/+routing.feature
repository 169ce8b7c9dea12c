Agents know the servers of all datacenters by gossip and ask them; `/v1/catalog/datacenters` tells of all, the nearest first.
