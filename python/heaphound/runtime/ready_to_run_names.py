"""Methods of a ready-to-run image's instance entry points, named through the metadata of the modules that their signatures refer to."""

from heaphound.errors import Malformed
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import type_token_name
from heaphound.runtime.methods import Method, Methods
from heaphound.runtime.modules import Module
from heaphound.runtime.ready_to_run_signatures import InstanceSignature, read_method_signature


def instance_method(methods: Methods, module: Module, encoded: bytes) -> Method:
    """The method of an encoded instantiation in an image of `module`. Raises Malformed, Unreadable."""
    names = _ImageTokens(methods, module)
    signature = read_method_signature(encoded, 0, names)
    source, rid, owner = _definition(names, signature)
    return methods.described(source, rid, owner, signature.arguments)


def _definition(names: "_ImageTokens", signature: InstanceSignature) -> tuple[Module, int, str | None]:
    """(module, MethodDef row, exact name of the declaring type or None). A MemberRef is looked up by name in its type's own module."""
    source = names.module(signature.module_index)
    rid = signature.token & 0xFFFFFF
    if signature.token >> 24 == Table.METHOD_DEF:
        return source, rid, signature.owner
    if source.metadata is None:
        raise Malformed(f"no metadata of {source.name}: {source.metadata_missing}")
    reference = source.metadata.memberref(rid)
    loaded = [] if signature.owner is None else names.methods.types.find(signature.owner)
    if not loaded or loaded[0].module is None or loaded[0].module.metadata is None or not loaded[0].row:
        raise Malformed(f"the type of {reference.name}, {signature.owner}, is not loaded")
    metadata = loaded[0].module.metadata
    same = [row for row in metadata.typedef(loaded[0].row).methods if metadata.method_name(row) == reference.name]
    exact = [row for row in same if metadata.methoddef(row).signature == reference.signature] or same
    if len(exact) != 1:
        raise Malformed(f"{signature.owner} has {len(exact)} methods that {reference.name} may mean")
    return loaded[0].module, exact[0], signature.owner


class _ImageTokens:
    """TokenNames of one image. Index 0 is its module; then its AssemblyRefs (src/coreclr/vm/zapsig.cpp, DecodeModuleFromIndex)."""

    def __init__(self, methods: Methods, module: Module) -> None:
        self.methods = methods
        self._own = module

    def type_token_name(self, module_index: int, token: int) -> str:
        """As TokenNames."""
        metadata = self.module(module_index).metadata
        if metadata is None:
            raise Malformed(f"no metadata of module {module_index} of {self._own.name}")
        return type_token_name(metadata, token)

    def module(self, index: int) -> Module:
        """The module that an index stands for. Raises Malformed when it is not loaded or beyond the image's own references."""
        if index == 0:
            return self._own
        if self._own.metadata is None:
            raise Malformed(f"no metadata of {self._own.name}: {self._own.metadata_missing}")
        name = self._own.metadata.assemblyref(index).name
        candidates = [module for module in self.methods.types.modules if module.name == name]
        same_context = [module for module in candidates if module.binder == self._own.binder]
        if not candidates:
            raise Malformed(f"the assembly {name}, which an image of {self._own.name} refers to, is not loaded")
        return (same_context or candidates)[0]
