"""The parts of the report page: what was found where, sentences, figures, tables, provenance, and the page itself."""
