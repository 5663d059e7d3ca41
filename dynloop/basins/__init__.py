"""Where every start goes: attractors, the mappers that send a start to one, and basins on grids and planes."""
