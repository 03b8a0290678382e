"""The databases that this instance looks after, side by side, and how they are."""
