"""HTTP: reads a request, calls one operation, answers. No rule about packages lives here."""
