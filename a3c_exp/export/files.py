"""Policies as files for other programs: ONNX, and programs of ``torch.export`` that need no a3c_exp."""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from a3c_exp.export.check import Run
from a3c_exp.export.graph import PolicyGraph
from a3c_exp.system.errors import ConfigError, first_line
from a3c_exp.system.extras import import_extra

ONNX, TORCH = "policy.onnx", "policy.pt2"
METADATA = "a3c_exp.json"
"""The name under which a torch program carries its metadata."""
_OPSET = 18


def require_onnx() -> None:
    """A ConfigError unless what ``--onnx`` needs can be imported."""
    for module in ("onnx", "onnxscript", "onnxruntime"):
        import_extra("--onnx", module)


def export_program(graph: PolicyGraph) -> ExportedProgram:
    """The graph as a program of tensor operations, for any number of observations; a ConfigError if it cannot be one."""
    with _quiet(), torch.no_grad():
        try:
            return torch.export.export(graph, tuple(graph.examples), dynamic_shapes=_batches(graph))
        except Exception as error:  # of many kinds, and the model may be a user's
            raise _not_exportable(graph, error) from error


def _batches(graph: PolicyGraph) -> dict[str, Any]:
    """Which axes are of any size: the first of each input."""
    batch = Dim("batch")
    return {"inputs": tuple({0: batch} for _ in graph.examples)}


def save_torch(program: ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> Run:
    """Write a program to a file that ``torch.export.load`` reads; returns it as read."""
    with _quiet():
        torch.export.save(program, path, extra_files={METADATA: json.dumps(metadata, indent=2)})
        module = torch.export.load(path).module()

    def run(inputs: Any) -> Any:
        with torch.inference_mode():
            return [output.numpy() for output in module(*map(torch.from_numpy, inputs))]

    return run


def save_onnx(graph: PolicyGraph, program: ExportedProgram, path: Path, metadata: Mapping[str, Any]) -> Run:
    """Write a program to an ONNX file; returns it as onnxruntime has read it. Needs ``require_onnx``."""
    import onnxruntime

    with _quiet():
        try:
            exported = torch.onnx.export(
                program,
                input_names=graph.input_names,
                output_names=graph.output_names,
                dynamic_shapes=_batches(graph),  # for the axis's name alone
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            raise _not_exportable(graph, error) from error
    assert exported is not None
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    exported.model.metadata_props.update(texts)
    exported.save(path, external_data=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(zip(graph.input_names, inputs, strict=True)))


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes the place of ``path`` when the block ends without an error; a ConfigError if there
    is one already."""
    reject_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield unfinished
        try:
            os.link(unfinished, path)  # unlike a rename it replaces nothing
        except FileExistsError:
            reject_existing(path)
            raise
    finally:
        with contextlib.suppress(FileNotFoundError):
            unfinished.unlink()


def reject_existing(path: Path) -> None:
    """Raise a ConfigError if the file exists: nothing is ever overwritten."""
    if path.exists():
        raise ConfigError(f"{path} exists, and nothing is overwritten. Try another folder (--out DIR), or remove it first")


def _not_exportable(graph: PolicyGraph, error: Exception) -> ConfigError:
    return ConfigError(
        f"{type(graph.model).__name__} with {type(graph.model.distribution).__name__} cannot be exported: {first_line(error)}. "
        "Export its weights instead: leave out --onnx and --torch"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say to their own developers."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
