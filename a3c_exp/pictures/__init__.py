"""What a person looks at: the policy laid over the task's own picture, what the network sees, and where it looks."""
