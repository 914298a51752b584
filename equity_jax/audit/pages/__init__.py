"""What a reader sees: pages, tables, charts and pictures."""
