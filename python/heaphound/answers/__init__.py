"""One module per verb: from a session to the answer that the API returns and the command line prints."""
