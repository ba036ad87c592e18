"""Everything that touches files: readers and writers around the pure core."""
