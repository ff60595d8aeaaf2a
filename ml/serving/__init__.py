"""The prediction service: one process, one live model per problem, every answered row in the request log."""
