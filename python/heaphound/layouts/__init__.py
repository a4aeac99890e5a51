"""Knowledge as data: where the fields of CoreCLR's structures are, per version, and which algorithm applies."""
