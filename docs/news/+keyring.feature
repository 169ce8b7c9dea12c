`/v1/operator/keyring` and `txconsul keyring` change and list the gossip keys of all pools, with what each agent said.
