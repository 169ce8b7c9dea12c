"""What can be asked, and the one door through which it is asked (layer 4)."""
