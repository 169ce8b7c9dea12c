"""The DNS edge: names of Consul's domain, answered from the catalog (layer 5)."""
