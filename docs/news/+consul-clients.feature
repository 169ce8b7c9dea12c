Client agents of Consul 1.21 can have servers of ours: gossip, registration, anti-entropy, KV, health, sessions, queries, snapshots; with `use_streaming_backend = false` (docs/rpc.md).
