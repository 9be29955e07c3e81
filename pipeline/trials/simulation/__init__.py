"""A simulated night with known truth: what the pipeline is measured against.

``night_spec`` says what is wanted, ``truth`` makes the stars and the conditions, ``camera`` the camera's fixed
patterns, ``render`` the frames. Everything is decided by the specification and its seed.
"""
