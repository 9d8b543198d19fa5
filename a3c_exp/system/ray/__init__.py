"""What all that runs on a Ray cluster has in common."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.system.ray.cluster import HeadWatch as HeadWatch, connect as connect, other_version as other_version
