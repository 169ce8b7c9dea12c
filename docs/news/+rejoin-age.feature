A server that was away for longer than `server_rejoin_age_max` (a week, unless configured) does not start again on its data, as Consul's do not.
