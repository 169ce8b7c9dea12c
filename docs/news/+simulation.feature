Groups of servers are tried in simulated worlds with crashes, partitions, slow and full disks: `python -m txconsul.simulation raft --seeds N` runs any number of them and says how to repeat a failure.
