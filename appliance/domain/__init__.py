"""Values and decisions of package deployment: no IO, no clock, no log, no chance."""
