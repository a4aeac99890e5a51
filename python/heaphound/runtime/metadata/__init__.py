"""ECMA-335 metadata of one module, out of a bytes-like."""

from heaphound.runtime.metadata.reader import Metadata

__all__ = ["Metadata"]
