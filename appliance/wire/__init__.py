"""Bytes to values and back, both directions in one module for each kind of message. No IO, no decisions."""
