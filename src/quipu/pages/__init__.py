"""Pages that stand alone: pictures inside them, templates filled in."""
