"""Forward models: the paper's degradation, bicubic resampling, and the physics of single images of a batch."""
