"""The replicated state: tables, watches, and the commands that change them (layer 1, pure)."""
