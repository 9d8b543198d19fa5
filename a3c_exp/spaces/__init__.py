"""Observation and action spaces: how their values become one flat array and back."""
