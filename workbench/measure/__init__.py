"""What a network costs on the machine it runs on: time, memory traffic, energy."""
