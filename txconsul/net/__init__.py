"""Networks: where connections come from and go to (layer 2)."""
