"""`modules`: loaded assemblies."""

from heaphound.address import Address
from heaphound.answers.facts import dump_facts
from heaphound.results.answer import Answer, Coverage, Gap
from heaphound.results.modules import ModuleRow, ModulesResult
from heaphound.runtime.load_contexts import load_context_name
from heaphound.runtime.modules import Module
from heaphound.session import Session


def modules(session: Session) -> Answer[ModulesResult]:
    """All modules in load order."""
    found = session.module_list
    gaps = tuple(Gap(Address(gap.address), Address(gap.address), gap.reason) for gap in found.gaps)
    return Answer(dump_facts(session), Coverage(gaps=gaps), ModulesResult(tuple(_row(session, module) for module in found.modules)))


def _row(session: Session, module: Module) -> ModuleRow:
    image = module.pe
    symbols = None if image is None else session.symbols.find(image, module.path).origin
    return ModuleRow(
        name=module.name,
        path=module.path,
        image_base=None if module.image_base is None else Address(module.image_base),
        module=Address(module.address),
        assembly=Address(module.assembly),
        dynamic=module.dynamic,
        load_context=load_context_name(session.objects.values, module),
        version=module.version,
        collectible=module.collectible,
        metadata=module.metadata_missing or "present",
        symbols=symbols,
        size_bytes=module.size_bytes,
    )
