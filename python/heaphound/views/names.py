"""Names as C# writes them, taken apart for display."""


def split_namespace(type_name: str) -> tuple[str, str]:
    """(``System.Collections.Generic.``, ``List<System.String>``): the namespace is what stands before the last dot outside of ``<...>``."""
    depth = 0
    cut = 0
    for position, character in enumerate(type_name):
        if character in "<[(":
            depth += 1
        elif character in ">])":
            depth -= 1
        elif character == "." and depth == 0:
            cut = position + 1
    return type_name[:cut], type_name[cut:]
