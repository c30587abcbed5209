"""The API: everything that the console does, as JSON under /api/v1/."""
