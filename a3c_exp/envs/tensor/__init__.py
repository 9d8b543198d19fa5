"""Environments as pure functions of tensors; importing this registers them with gymnasium, without torch."""

import gymnasium

from a3c_exp.envs.tensor.tasks import TENSOR_TASKS
from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.envs.tensor.base import TensorEnv as TensorEnv
    from a3c_exp.envs.tensor.batch import TensorEnvBatch as TensorEnvBatch
    from a3c_exp.envs.tensor.gymnasium_vector import TensorVectorEnv as TensorVectorEnv

# gymnasium's own class stands for a single one, so that `make` works as well and both can be compared.
for _id, _name in TENSOR_TASKS.items():
    if f"a3c_exp/{_id}" not in gymnasium.registry:
        gymnasium.register(
            id=f"a3c_exp/{_id}",
            entry_point=gymnasium.spec(_id).entry_point,
            vector_entry_point=f"a3c_exp.envs.tensor.gymnasium_vector:{_name.partition('.')[0]}",
            max_episode_steps=gymnasium.spec(_id).max_episode_steps,
        )
