"""Queries: functions that take a session; the caller owns the transaction."""
