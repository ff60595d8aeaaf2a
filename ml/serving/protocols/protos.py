"""TensorFlow Serving's messages, from their descriptors, without TensorFlow or its package of stubs.

`tensorflow_serving.apis` imports messages from the package `tensorflow`, whose import costs seconds and half a gigabyte and which
the service's image does not hold. The file beside this one holds the descriptors of the same messages; a test compares the two.
"""

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DESCRIPTORS = Path(__file__).with_suffix(".descriptors")


@cache
def message(name: str) -> Any:
    """A class such as `tensorflow.serving.PredictRequest`."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@cache
def numbers(name: str) -> dict[str, int]:
    """The numbers of an enum such as `tensorflow.DataType` by the names of its values."""
    return {value.name: value.number for value in _pool().FindEnumTypeByName(name).values}


@cache
def _pool() -> Any:
    """A pool of its own: TensorFlow, where it is loaded too, has the same names in the common one."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    return pool
