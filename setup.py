"""What pyproject.toml cannot say. The packages of a wheel are found, so that none is forgotten; conf/ and pretrained/, which
lie beside the package in a checkout, where people edit them and look for them, lie inside it once installed."""

from setuptools import find_packages, setup

setup(
    # hydra_plugins/ is a namespace folder that Hydra scans; it must have no __init__.py, and so is not found.
    packages=[*find_packages(include=["a3c_exp", "a3c_exp.*"]), "a3c_exp.conf", "a3c_exp.pretrained", "hydra_plugins"],
    package_dir={"a3c_exp.conf": "conf", "a3c_exp.pretrained": "pretrained"},
)
