"""What other systems read: each module builds one format from the same results. Pure; `io.export` writes files."""
