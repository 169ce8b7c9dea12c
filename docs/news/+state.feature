Keys, sessions, transactions and the catalog keep Consul's indexes exactly, and a write wakes only those who wait for what it touched.
