"""What managers and consumers tell Prometheus. Labels are names of commands, sites, groups and classes: few, and none
from a header or a file.
"""
