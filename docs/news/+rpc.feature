`txconsul.rpc` speaks Consul's server port: yamux, calls in net/rpc over msgpack served and made, one connection to each server; real Consul servers answer it (docs/rpc.md).
