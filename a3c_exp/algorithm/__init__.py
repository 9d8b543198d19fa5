"""A3C and nothing else: acting, n-step returns, the loss, its gradient, and what a training counts."""
