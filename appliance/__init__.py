"""ocs.pyz: software deployment for small sites, in one file. Importing this costs nothing."""

__version__ = "0.1.0"
