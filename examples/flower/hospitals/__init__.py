"""Two hospitals and one model: logistic regression on scikit-learn's breast cancer data, by Flower."""
