The agent runs services and checks (TTL, HTTP, TCP, alias), registered over the API or in configuration files, keeps them over restarts, and keeps the catalog true to them; a hang-up or `/v1/agent/reload` reads the files again.
The agent logs what it told the catalog: services and checks synced and deregistered, and its node.
