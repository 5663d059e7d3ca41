"""Named ways to break the library, each of which the property suite must notice."""
