"""Models: kept by digest, run in processes of their own, asked by tensors."""
