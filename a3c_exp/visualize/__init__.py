"""What a person looks at: the policy over the environment's picture, what the network sees, videos and screenshots."""
