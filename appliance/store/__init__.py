"""SQL and the fragments directory: rows and files in, domain values out. Nothing else speaks SQL."""
