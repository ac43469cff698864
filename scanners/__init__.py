"""Reads storage, never writes: one module a kind of volume."""
