"""What is compiled: each kernel a C function, the Python that calls it, and beside it the same in plain NumPy."""
