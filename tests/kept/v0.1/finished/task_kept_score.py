"""The score of a kept run's task."""


def halves(units, threshold=0.5):
    """Half of the mean error."""
    return {"half": float((units["y_true"] - units["amount"]).abs().mean()) / 2}
