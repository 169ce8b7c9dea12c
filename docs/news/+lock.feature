`txconsul lock` runs a program while holding a lock or a slot of a semaphore, with Consul's own keys and sessions, so that both programs' locks exclude each other.
