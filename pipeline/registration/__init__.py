"""Registration: where each frame of a night lies on the reference frame, and how clear its sky was."""
