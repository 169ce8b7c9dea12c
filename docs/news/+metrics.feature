Metrics have Consul's names, samples with mean, extremes and deviation of every ten seconds, percentiles for Prometheus, a
stream (`/v1/agent/metrics/stream`), and `telemetry`'s `prefix_filter`, `filter_default`, `metrics_prefix` and
`disable_hostname`; all of them together cost a read about half a microsecond.
