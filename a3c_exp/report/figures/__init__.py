"""Curves and panels as SVG and PNG, in one style."""
