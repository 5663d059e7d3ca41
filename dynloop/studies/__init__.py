"""Many runs: a plan of cells, run on any executor, kept in a folder that survives a crash."""
