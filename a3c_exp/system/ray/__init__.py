"""What all that runs on a Ray cluster has in common: how it is joined, what nodes must agree in, and processes on them."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.system.ray.cluster import HeadWatch as HeadWatch, connect as connect, other_version as other_version
    from a3c_exp.system.ray.node import NodeDescription as NodeDescription
    from a3c_exp.system.ray.remote_process import RemoteProcess as RemoteProcess
