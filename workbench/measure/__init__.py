"""What a network really costs on this machine: time, energy, and why."""
