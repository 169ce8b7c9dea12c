`txconsul watch` runs a program on each change of a key, service, node or check, as Consul's does; `-cursor-file` keeps what was told last, so that a restart does not tell it again.
