"""What one recorded trajectory supports without its map: approach, rest, return, growth, each a test of its own."""
