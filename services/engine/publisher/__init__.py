"""The publisher: an observation's whole graph of processes, written in one transaction."""
