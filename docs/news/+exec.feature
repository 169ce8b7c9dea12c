`txconsul exec` runs a command on agents that have `disable_remote_exec = false`, and shows what it writes and how it ends.
