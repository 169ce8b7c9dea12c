`txconsul monitor` shows an agent's log as it is written, and `txconsul debug` records an agent's configuration, members, metrics and log into one archive.
