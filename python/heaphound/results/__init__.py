"""The records that the verbs return: frozen dataclasses that know nothing of dumps, of runtimes, or of how they are shown."""
