"""What the tests of this folder share."""

from tests.fakes.quick import quick_path

__all__ = ["quick_path"]
