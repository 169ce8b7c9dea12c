`?filter=` selects nodes, services, instances, checks and members in Consul's filter language; a regular expression in it takes time in proportion to the text, whatever it is.
