"""The ways to run workers, behind one protocol: hogwild, parameter server, deterministic, synchronous."""
