Three to five servers make one group: they find each other by gossip (`bootstrap_expect`, `retry_join`), elect a leader, replicate, and
forward what belongs to the leader. A server that joins later becomes a voter once it was well for a while; one that leaves is removed.
