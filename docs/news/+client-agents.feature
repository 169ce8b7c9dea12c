Client agents: `txconsul agent -retry-join=...` without `-server` keeps no state, finds the servers by gossip, forwards to them, runs checks and
keeps the catalog true to what it runs.
