`txconsul.testing.linearizability` checks whether what several clients saw of a key, a list or a lock was possible, requests of unknown outcome included.
