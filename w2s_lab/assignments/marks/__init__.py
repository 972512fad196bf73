"""From results to tables, pages and sheets for people."""
