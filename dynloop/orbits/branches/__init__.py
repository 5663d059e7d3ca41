"""The parts of the continuation of fixed points and cycles in one parameter."""
