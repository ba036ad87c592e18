"""What people read of a batch: plain-text tables, and HTML pages built as views (values in, text out) and templates."""
