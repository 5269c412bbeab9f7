"""Artifacts to send under a charter: a real safetensors file, and things that pretend to be one."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from comity import control
from comity.control.exchange import Progress, ReceivedRequest, SendResult
from tests.simulated_nodes import SimulatedNode


def safetensors(seed: int, size: int = 64) -> bytes:
    """One tensor of bytes."""
    data = sha256(seed.to_bytes(8, "big")).digest() * (-(-size // 32))
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + data[:size]


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def pickled(protocol: int = 4) -> bytes:
    return pickle.dumps(Payload(), protocol)


def torch_archive() -> bytes:
    """What torch.save writes: a zip archive with a pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(2))
        archive.writestr("archive/version", "3")
    return buffer.getvalue()


def hidden_archive() -> bytes:
    """A valid safetensors file whose tensor is such an archive: torch.load opens it from its end."""
    data = torch_archive()
    size = len(data)
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def digest(content: bytes) -> str:
    return "sha256:" + sha256(content).hexdigest()


@contextmanager
def opened(content: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file.fileno()


async def send(
    sender: SimulatedNode,
    receiver: SimulatedNode,
    content: bytes,
    name: str = "model.safetensors",
    watch: Callable[[Progress], None] = lambda _: None,
) -> SendResult:
    with opened(content) as descriptor:
        request = control.SendFileRequest(peer=receiver.card.hostname, name=name, file="")
        return await sender.node.exchange.send(request, descriptor, watch)


async def received(node: SimulatedNode) -> list[str]:
    """The digests of what is visible."""
    files = (await node.node.exchange.received(ReceivedRequest())).files
    return sorted(file.digest for file in files)
