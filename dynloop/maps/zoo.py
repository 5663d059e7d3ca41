"""Maps with exact answers, each carrying its facts."""
