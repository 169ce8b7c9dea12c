HAProxy (`server-template`), dnsmasq, unbound, dig and Prometheus find services in an agent, and follow their health; docs/operating.md has the settings that were tried.
