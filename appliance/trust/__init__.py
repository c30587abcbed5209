"""Certificates: the appliance's own authority, TLS contexts, and looking at a server as an agent would."""
