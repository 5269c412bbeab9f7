"""What runs at the aggregator: federated averaging over both hospitals."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from hospitals import model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """So many rounds as the configuration says; the last line tells how well the model does."""
    rounds = int(context.run_config["num-server-rounds"])
    strategy = FedAvg(min_train_nodes=2, min_evaluate_nodes=2, min_available_nodes=2)
    result = strategy.start(grid=grid, initial_arrays=ArrayRecord(model.new_model()), num_rounds=rounds)
    done = sorted(result.evaluate_metrics_clientapp)
    accuracy = result.evaluate_metrics_clientapp[done[-1]]["accuracy"]
    print(f"hospitals: rounds={len(done)} accuracy={accuracy:.3f}")
