"""What ``bench/rendezvous`` measures with: thousands of nodes in few processes, and what it compares with."""
