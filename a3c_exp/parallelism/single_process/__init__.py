"""What parallelisms without worker processes share, and synchronous A2C."""
