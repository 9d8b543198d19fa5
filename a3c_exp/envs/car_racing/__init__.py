"""CarRacing from pixels: the environment, its actions and frames, and a renderer that draws only what the network sees."""
