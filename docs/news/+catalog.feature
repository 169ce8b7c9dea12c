Nodes, services and checks can be registered and listed, so that sessions hang on checks; the leader registers its own node with a passing `serfHealth` check. A service whose name DNS cannot carry is refused, by the catalog, by transactions and by the agent.
A check without an id is refused, and a check's definition is read, as in Consul.
