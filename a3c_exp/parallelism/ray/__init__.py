"""A3C with a parameter server whose worker groups run on any node of a Ray cluster."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.ray.gateway import Gateway as Gateway
    from a3c_exp.parallelism.ray.group_host import GroupActor as GroupActor, GroupHost as GroupHost
    from a3c_exp.parallelism.ray.remote_group import GroupTransport as GroupTransport, RemoteGroup as RemoteGroup
    from a3c_exp.parallelism.ray.strategy import RayParameterServer as RayParameterServer
