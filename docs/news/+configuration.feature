Configuration is read from HCL and JSON files and from flags in Consul's keys and order; a mistake names the key and the file or flag that set it.
