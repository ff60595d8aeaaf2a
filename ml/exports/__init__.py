"""The model in other forms than a SavedModel: made from the trained network, checked row by row, told in `exports.json`."""

from ml.exports.make import Check, make, published

__all__ = ["Check", "make", "published"]
