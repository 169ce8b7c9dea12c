Prometheus gets the metrics from `/v1/agent/metrics?format=prometheus`, where `telemetry.prometheus_retention_time` is positive.
