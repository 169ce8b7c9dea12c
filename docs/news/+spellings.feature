Registrations may spell the parts of proxies, upstreams and sidecars as configuration files do (`destination_service_name`).
