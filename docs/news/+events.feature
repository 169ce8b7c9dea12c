User events: `/v1/event/fire` and `/v1/event/list` with filters and blocking lists, `txconsul event`, and watches of type `event`; a new
leader tells all agents, which then compare what they run with the catalog.
