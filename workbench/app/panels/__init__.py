"""One file a panel: widgets linked to the state, nothing else."""
