"""Tables that may be asked: no other can be named."""
