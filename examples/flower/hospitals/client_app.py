"""What runs at a hospital: train and evaluate on its own patients."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from hospitals import model

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """The model that came, after some steps on the patients here."""
    features, diagnoses = model.patients(int(context.node_config["partition-id"]))
    trained = model.train(message.content["arrays"].to_numpy_ndarrays(), features, diagnoses)
    said = {
        "arrays": ArrayRecord(trained),
        "metrics": MetricRecord({"num-examples": len(diagnoses)}),
    }
    return Message(content=RecordDict(said), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """How well the model that came does on the patients here."""
    features, diagnoses = model.patients(int(context.node_config["partition-id"]))
    found = model.accuracy(message.content["arrays"].to_numpy_ndarrays(), features, diagnoses)
    metrics = MetricRecord({"accuracy": found, "num-examples": len(diagnoses)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
