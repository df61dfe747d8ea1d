"""Train a face detector by distillation: photos, the labels of several teachers, a net without anchors."""
