A reload takes up `dns_config` and `recursors`, `log_level`, `node_meta`, metric filters, HTTPS certificates, snapshot settings
and `limits.http_max_conns_per_client`, all of it or nothing, where it was services and checks only.
A reload with a service that has no name, or a check of a service that nobody runs, is refused before anything changes.
Who waits for a change of an agent's service sees what a reload leaves, never its midst.
