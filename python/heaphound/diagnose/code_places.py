"""Places in code as findings show them: without the directories of a machine, as a row or in a word."""

from heaphound.results.analyze import CodeRole
from heaphound.results.analyze import CodeSite as CodeRow
from heaphound.runtime.calls import CodeSite


def code_row(site: CodeSite, role: CodeRole, evidence: str) -> CodeRow:
    """A place in code as a row of a finding."""
    location = site.location
    return CodeRow(
        role=role,
        method=str(site.written_method),
        declaring_type=site.written_method.declaring_type,
        module=site.module.name,
        file=None if location is None else file_name(location.file),
        line=None if location is None else location.start_line,
        il_offset=site.il_offset,
        evidence=evidence,
    )


def place(site: CodeSite) -> str:
    """`RedisHub.cs:37`, else `IL_0042` of the method."""
    location = site.location
    return f"IL_{site.il_offset:04x}" if location is None else f"{file_name(location.file)}:{location.start_line}"


def file_name(path: str) -> str:
    """Last part of a source path of either kind of separator: whole paths tell about machines."""
    return path.replace("\\", "/").rpartition("/")[2]
