"""Weights of a model as safetensors files, from and to NumPy, PyTorch, TensorFlow and JAX.

    weights.save(model.state_dict(), "round-3.safetensors", metadata={"samples": "238"})
    model.load_state_dict(weights.load("global-3.safetensors", framework="torch"))

The framework is the tensors' own when they are saved, and named when they are loaded; none is imported before
it is used. safetensors holds numbers and nothing that can run. Needs NumPy and safetensors:
``pip install 'comity[weights]'``; the framework is for you to install.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from safetensors import SafetensorError

from comity.errors import FileUnusable, InvalidInput, InvalidWeights
from comity.identity.text import printable
from comity.sdk.appearing import appearing

PathLike = str | os.PathLike[str]
Framework = Literal["numpy", "torch", "tensorflow", "jax"]

#: Where safetensors keeps each framework's functions, and the package that has to be there.
_MODULES: Mapping[str, tuple[str, str]] = {
    "numpy": ("safetensors.numpy", "numpy"),
    "torch": ("safetensors.torch", "torch"),
    "tensorflow": ("safetensors.tensorflow", "tensorflow"),
    "jax": ("safetensors.flax", "jax"),
}
#: The package that a tensor's class comes from.
_OWNERS: Mapping[str, Framework] = {
    "numpy": "numpy",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "jax": "jax",
    "jaxlib": "jax",
}


def save(tensors: Mapping[str, Any], path: PathLike, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors of one framework, by name; the file appears complete or not at all.

    ``metadata``: texts that travel with them, such as how many samples they learnt from. InvalidInput where
    they are of no known framework or of several, or share memory; StorageUnusable, DiskFull.
    """
    framework = _framework_of(tensors)
    ready = {name: _plain(tensor, framework) for name, tensor in tensors.items()}
    write = _function(framework, "save_file")
    with appearing(path) as file:
        try:
            write(ready, file.name, dict(metadata) if metadata else None)
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise InvalidInput(f"these tensors cannot be saved: {printable(str(error))}") from error


def load(path: PathLike, *, framework: Framework = "numpy") -> dict[str, Any]:
    """The tensors in a file, by name, on the processor. InvalidWeights, FileUnusable, InvalidInput."""
    if framework not in get_args(Framework):
        raise InvalidInput(
            f"{framework} is not a known framework", hint=f"use {', '.join(get_args(Framework))}"
        )
    read = _function(framework, "load_file")
    name = printable(os.path.basename(os.fspath(path)))
    try:
        found: dict[str, Any] = read(os.fspath(path))
    except SafetensorError as error:
        raise InvalidWeights(f"{name} is not a safetensors file: {printable(str(error))}") from error
    except OSError as error:
        raise FileUnusable(f"{name} cannot be read: {printable(str(error))}") from error
    return found


def _framework_of(tensors: Mapping[str, Any]) -> Framework:
    owners = {type(tensor).__module__.partition(".")[0] for tensor in tensors.values()}
    known = {_OWNERS[owner] for owner in owners if owner in _OWNERS}
    if len(known) != 1 or not owners <= set(_OWNERS):
        raise InvalidInput(
            f"tensors of one framework are needed, and these are of {', '.join(sorted(owners)) or 'none'}",
            hint=f"give arrays of {', '.join(get_args(Framework))}, by name",
        )
    return known.pop()


def _plain(tensor: Any, framework: Framework) -> Any:
    """As safetensors wants it: in one piece, and without what a framework keeps beside the numbers."""
    if framework == "torch":
        return tensor.detach().cpu().contiguous()
    if framework == "numpy":
        return importlib.import_module("numpy").asarray(tensor, order="C")
    return tensor


def _function(framework: str, name: str) -> Callable[..., Any]:
    module, package = _MODULES[framework]
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise InvalidInput(f"{package} is not installed here", hint=f"run pip install {package}") from error
    return function
