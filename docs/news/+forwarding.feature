Servers ask their leader, and servers of other datacenters, in Consul's RPC; what was surely not carried out, and reads whose answer got lost, are asked again.
