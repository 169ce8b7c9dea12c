Nodes, services and checks can be registered and listed, so that sessions hang on checks; the leader registers its own node with a passing `serfHealth` check.
