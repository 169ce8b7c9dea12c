Servers replicate over the server port, byte for byte as Consul's: entries pipelined, heartbeats that wait for nothing, snapshots
streamed as fast as they are taken, and pre-votes and leadership transfers that Consul's own servers understand.
Large commands, which Consul's servers cut into pieces, are joined again.
