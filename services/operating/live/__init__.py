"""The live night: frames are taken, published and measured as they come."""
