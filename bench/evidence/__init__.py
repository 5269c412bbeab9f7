"""What the programs of this folder measure evidence with."""
