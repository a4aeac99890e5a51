"""Which types come with .NET: what is in them is plumbing, and a finding should name the code of the program."""

_NAMESPACES = ("System.", "Microsoft.", "Interop", "Internal.")


def is_framework(type_name: str) -> bool:
    """Whether a type, by its full name, belongs to .NET, ASP.NET Core or their extensions."""
    return type_name.startswith(_NAMESPACES)


def is_collection_part(type_name: str) -> bool:
    """Whether a type is a node or entry inside a collection of .NET: `ConcurrentDictionary<K, V>+Node`, `LinkedListNode<T>`."""
    name, _, arguments = type_name.partition("<")
    return name.startswith("System.Collections.") and (name.endswith("Node") or "+" in arguments.rpartition(">")[2])
