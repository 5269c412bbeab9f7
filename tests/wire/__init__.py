"""What the wire and the files look like: recorded bytes, how head reads them, and the script that records."""
