`txconsul members` lists the members of the agent's pool, by status, filter or in detail.
