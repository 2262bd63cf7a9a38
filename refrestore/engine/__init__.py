"""Where work runs: the whole job, over one video or several."""
