"""The operating system and the process: errors, signals, threads, memory, number formats."""
