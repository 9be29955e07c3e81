"""The manager: puts each process whose dependencies are done into the queue of its site and group."""
