"""A3C with a parameter server: workers send gradients, one process applies them and answers with weights."""
