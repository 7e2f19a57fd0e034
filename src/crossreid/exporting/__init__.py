"""Trained models as programs that run without this package: ``torch.export`` and ONNX."""
