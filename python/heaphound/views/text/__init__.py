"""One module per verb: a result as a page of blocks."""
