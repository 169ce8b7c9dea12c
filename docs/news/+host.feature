`/v1/agent/host` tells all that Consul's does of the machine, `telemetry.enable_host_metrics` the same as metrics, and the warning
about keys without effect names only those that ask for something which does not happen.
