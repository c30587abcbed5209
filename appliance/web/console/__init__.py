"""The console: one module per page or family of pages, thin over the operations; frame.py holds what all share."""
