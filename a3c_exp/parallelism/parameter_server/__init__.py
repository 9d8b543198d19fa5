"""A3C with a server process that applies workers' gradients in order of arrival."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.parallelism.parameter_server.announced_episodes import (
        AnnouncedEpisodes as AnnouncedEpisodes,
        Announcement as Announcement,
    )
    from a3c_exp.parallelism.parameter_server.double_buffer import DoubleBufferedState as DoubleBufferedState
    from a3c_exp.parallelism.parameter_server.gradient_slots import GradientSlots as GradientSlots
    from a3c_exp.parallelism.parameter_server.server import ServerProcess as ServerProcess, StalenessPolicy as StalenessPolicy
    from a3c_exp.parallelism.parameter_server.strategy import ParameterServer as ParameterServer
    from a3c_exp.parallelism.parameter_server.worker import ParameterServerExchange as ParameterServerExchange
