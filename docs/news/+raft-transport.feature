Servers replicate over the server port, byte for byte as Consul's: entries pipelined, heartbeats that wait for nothing, snapshots
streamed as fast as they are taken, and pre-votes and leadership transfers that Consul's own servers understand.
Large commands, which Consul's servers cut into pieces, are joined again.
A group may have Consul's servers and txconsul's, as long as it uses nothing that txconsul does not know yet (docs/raft.md).
