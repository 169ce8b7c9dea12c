`/v1/agent/monitor` shows the log as it is written, at any level, to whoever watches; `/v1/agent/self` shows every setting
that is in force under Consul's names, without secrets.
