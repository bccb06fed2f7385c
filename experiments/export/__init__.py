"""From a `.nemo` to a bundle: graphs, their check against the model, precisions, TensorRT, Triton, the model card."""
