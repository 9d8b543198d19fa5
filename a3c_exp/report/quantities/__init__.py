"""Quantities that the report derives from logged columns."""
