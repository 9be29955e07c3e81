"""Traces, where setting `traces` asks for them: a graph is a trace, its publication and each attempt are spans of it.

Nothing is stored for them: ids follow from PIDs. Where they are off, nothing of OpenTelemetry is imported.
"""
