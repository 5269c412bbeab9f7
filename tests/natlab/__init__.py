"""Real NATs: network namespaces with nftables, real daemons, the real command line (see ``lab``)."""
