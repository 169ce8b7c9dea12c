A member that is asked to change its gossip keys answers when its keyring file is written, and says so if it cannot be;
`GossipPool.change_keys` changes or lists the keys of a whole pool and tells what each member said.
